/** A router as Node reaches it: gRPC over HTTP/2. */
import { createGrpcTransport } from "@connectrpc/connect-node";
import type { OpenRouter } from "../router.ts";
import { explainConnection } from "./connection-words.ts";
import type { ConnectionOptions } from "./http2-connection.ts";
import { RouterConnections } from "./router-connections.ts";

export function nodeRouters(options: ConnectionOptions): OpenRouter {
  return (url) => {
    const connections = new RouterConnections(new URL(url).origin, options);
    return {
      url,
      // Compressed tokens would be larger, and later.
      transport: createGrpcTransport({ baseUrl: url, sessionManager: connections, acceptCompression: [] }),
      needsProof: false,
      explain: explainConnection,
      retire: () => connections.retire(),
      close: () => connections.close(),
    };
  };
}
