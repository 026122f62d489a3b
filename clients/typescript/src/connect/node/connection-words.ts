/**
 * What went wrong between the client and a router, in words for people: codes of the operating system, of TLS and of HTTP/2. The only
 * place of the client that reads them. Each text goes into a sentence after the router's name.
 */
import type { ConnectError } from "@connectrpc/connect";
import { causesOf, codeOf } from "../../errors/error-causes.ts";
import type { Failure } from "../router.ts";
import { NotSentError } from "./not-sent-error.ts";

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused (is drover-router running there?)",
  ENOTFOUND: "its host name does not resolve",
  EAI_AGAIN: "its host name cannot be resolved now (is the name server there?)",
  EHOSTUNREACH: "there is no way to its machine",
  ENETUNREACH: "there is no way to its network",
  ETIMEDOUT: "it did not answer in time",
  ECONNRESET: "the connection was reset",
  EPIPE: "the connection was closed",
  // TLS, as Node names what OpenSSL found (doc/api/tls.md, "X509 certificate error codes").
  DEPTH_ZERO_SELF_SIGNED_CERT: "its certificate is signed by itself: pass it, or the CA that should sign it, as tls.ca",
  SELF_SIGNED_CERT_IN_CHAIN: "its certificate is signed by a CA that is not trusted: pass that CA as tls.ca",
  UNABLE_TO_GET_ISSUER_CERT: "its certificate is signed by a CA that is not trusted: pass that CA as tls.ca",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "its certificate is signed by a CA that is not trusted: pass that CA as tls.ca",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "its certificate is signed by a CA that is not trusted: pass that CA as tls.ca",
  CERT_SIGNATURE_FAILURE:
    "its certificate is not signed by the CA of that name that is trusted: pass the right one as tls.ca",
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet (is this machine's clock right?)",
  CERT_REVOKED: "its certificate was revoked",
  ERR_SSL_WRONG_VERSION_NUMBER: "it does not speak TLS: is it http:// there?",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "it does not speak TLS: is it http:// there?",
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: "it wants a certificate of the client: pass tls.cert and tls.key",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "it does not trust the CA of the client's certificate (tls.cert)",
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: "it refuses the client's certificate (tls.cert)",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "the client's certificate (tls.cert) has expired",
  ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE: "it refuses the client's TLS: does it want a certificate (tls.cert, tls.key)?",
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: "it does not speak HTTP/2 over TLS",
  ERR_HTTP2_ERROR: "it does not speak HTTP/2: is another program listening there, or is it https://?",
};

/** What connect-node and connect themselves say of a connection that broke, without a cause. */
const BROKEN = /^(?:http\/2 stream closed with error code |protocol error: |premature end)/;

/** Of an error that the caller did not cause and that no router wrote. */
export function explainConnection(error: ConnectError): Failure {
  const notSent = causesOf(error).find((cause) => cause instanceof NotSentError);
  if (notSent !== undefined) return { kind: "never-ran", why: wordsOf(notSent) ?? notSent.message };
  const words = wordsOf(error);
  if (words !== undefined) return { kind: "lost", why: words };
  if (BROKEN.test(error.rawMessage)) return { kind: "lost", why: brokenWords(error.rawMessage) };
  return { kind: "answered", error };
}

function wordsOf(error: unknown): string | undefined {
  const code = codeOf(error);
  if (code === undefined) return undefined;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return otherNames(error);
  const words = WORDS[code];
  if (words !== undefined) return words;
  if (code.startsWith("ERR_SSL_") || code === "EPROTO") return `TLS failed (${code})`;
  return /^(?:E[A-Z]+|ERR_HTTP2_|ERR_STREAM_|ERR_SOCKET_)/.test(code) ? `the connection failed (${code})` : undefined;
}

/** Node's error carries the names that the certificate has. */
function otherNames(error: unknown): string {
  const [cert] = causesOf(error).flatMap((cause) => ("cert" in cause ? [cause.cert] : []));
  const names = (cert as { subjectaltname?: string } | undefined)?.subjectaltname?.slice(0, 200);
  const has = names === undefined ? "another name" : names;
  return `its certificate is for ${has}: use such an address, or pass the name as tls.serverName`;
}

function brokenWords(message: string): string {
  const code = /error code ([A-Z_]+)/.exec(message)?.[1];
  // Node says CANCEL for a connection that ended, too.
  return code === undefined || code === "CANCEL" ? "the connection was closed" : `the stream was reset (${code})`;
}
