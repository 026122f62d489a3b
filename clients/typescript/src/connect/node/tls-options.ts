/** The caller's TLS options as Node takes them, checked before anything is sent. */
import { Buffer } from "node:buffer";
import type { SecureClientSessionOptions } from "node:http2";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { invalidArgument } from "../../errors/drover-error.ts";
import type { Pem, TlsOptions } from "../connect-options.ts";

/** Throws one error that names all that is wrong. */
export function nodeTls(options: TlsOptions | undefined): SecureClientSessionOptions {
  if (options === undefined) return {};
  const { passphrase, serverName, rejectUnauthorized } = options;
  const ca = listOf(options.ca).map(textOf);
  const [cert, key] = [options.cert, options.key].map((pem) => (pem === undefined ? undefined : textOf(pem)));
  const problems = [
    ...ca.flatMap((pem) => notPem("ca", pem)),
    ...notPem("cert", cert),
    ...notPem("key", key),
    ...((cert === undefined) === (key === undefined) ? [] : ["tls.cert and tls.key belong together."]),
  ];
  if (problems.length > 0) throw invalidArgument(problems.join(" "));
  const context: SecureContextOptions = {
    ...(options.ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(passphrase === undefined ? {} : { passphrase }),
  };
  checkContext(context);
  return {
    ...context,
    ...(serverName === undefined ? {} : { servername: serverName }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
}

function listOf(ca: Pem | readonly Pem[] | undefined): readonly Pem[] {
  if (ca === undefined) return [];
  return typeof ca === "string" || ca instanceof Uint8Array ? [ca] : ca;
}

function textOf(pem: Pem): string {
  return typeof pem === "string" ? pem : Buffer.from(pem).toString("utf8");
}

/** Node takes a text that is no certificate for an empty list of them, and then trusts nobody. */
function notPem(name: string, text: string | undefined): string[] {
  if (text === undefined || text.includes("-----BEGIN ")) return [];
  return [`tls.${name} is no PEM text ("-----BEGIN ..."): if it is the name of a file, read the file first.`];
}

/** What OpenSSL thinks of it: a broken certificate, a key of another certificate, a wrong passphrase. */
function checkContext(context: SecureContextOptions): void {
  try {
    createSecureContext(context);
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error);
    throw invalidArgument(`tls: the certificate or key cannot be used (${what}).`);
  }
}
