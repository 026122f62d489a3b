/**
 * A router as `fetch` reaches it: gRPC-Web, in browsers, Bun and Deno. Not Connect: its trailers of a single answer are headers, of
 * which a browser shows a page only those that the router lists.
 */
import type { ConnectError } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { causesOf, codeOf } from "../errors/error-causes.ts";
import type { Failure, Router } from "./router.ts";

/** What Bun and Deno say where browsers say nothing: nobody took the connection, or the name does not resolve. */
const NEVER_SENT = /connection ?refused|unable to connect|ECONNREFUSED|dns error|ENOTFOUND|client error \(connect\)/i;

/** What connect itself says of an answer that broke off. */
const BROKEN = /^(?:protocol error: |missing trailer|premature end|incomplete)/;

export function openWebRouter(url: string): Router {
  const closed = new AbortController();
  const fetchUntilClosed: typeof fetch = (input, init) => {
    const signals = [closed.signal, init?.signal ?? closed.signal];
    return fetch(input, { ...init, signal: AbortSignal.any(signals) });
  };
  return {
    url,
    transport: createGrpcWebTransport({ baseUrl: url, fetch: fetchUntilClosed }),
    needsProof: true,
    explain: explainFetch,
    // The connections are the runtime's: it keeps them and closes them.
    retire: () => undefined,
    close: () => closed.abort(),
  };
}

function explainFetch(error: ConnectError): Failure {
  const words = [codeOf(error) ?? "", ...causesOf(error).map(({ message }) => message)].join(" ");
  if (NEVER_SENT.test(words)) return { kind: "never-ran", why: "connection refused, or its name does not resolve" };
  if (BROKEN.test(error.rawMessage)) return { kind: "lost", why: "the answer broke off" };
  // fetch rejects with a TypeError whatever happened to the network.
  const isNetwork = causesOf(error).some((cause) => cause instanceof TypeError) || /network|fetch|socket/i.test(words);
  if (!isNetwork) return { kind: "answered", error };
  const why = "the network failed (is a router there, and does its --cors-origin name this page's origin?)";
  return { kind: "unclear", why };
}
