/**
 * gRPC-Web over fetch, for browsers, Bun and Deno. Not Connect: there the trailers of a unary call are response headers, which a
 * browser hides unless each is exposed by CORS.
 */
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { baseUrl } from "./base-url.ts";
import { bearerToken } from "./bearer-token.ts";
import type { ConnectOptions, OpenedTransport } from "./connect-options.ts";

export function openWebTransport({ address, token }: ConnectOptions): OpenedTransport {
  const transport = createGrpcWebTransport({ baseUrl: baseUrl(address), interceptors: bearerToken(token) });
  return { transport, close: () => undefined };
}
