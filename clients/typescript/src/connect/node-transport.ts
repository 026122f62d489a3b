/**
 * gRPC over HTTP/2, for Node.
 */
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { baseUrl } from "./base-url.ts";
import { bearerToken } from "./bearer-token.ts";
import type { ConnectOptions, OpenedTransport } from "./connect-options.ts";

export function openNodeTransport({ address, token }: ConnectOptions): OpenedTransport {
  const url = baseUrl(address);
  const sessionManager = new Http2SessionManager(url);
  const transport = createGrpcTransport({ baseUrl: url, sessionManager, interceptors: bearerToken(token) });
  return { transport, close: () => sessionManager.abort() };
}
