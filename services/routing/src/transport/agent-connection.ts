/**
 * One HTTP/2 connection to an agent for a connect client, for as long as its owner wants it.
 *
 * It takes the place of connect-node's own session manager, which takes its `error` listener off a connection before that is
 * done: an error that comes later, as from an HTTP/1.1 server at the agent's address, then ends the process.
 */
import { type ClientHttp2Session, connect } from "node:http2";
import type { createGrpcTransport } from "@connectrpc/connect-node";

/** What connect-node asks of a connection; it exports no name for it. */
type SessionManager = NonNullable<Parameters<typeof createGrpcTransport>[0]["sessionManager"]>;

export interface AgentConnection extends SessionManager {
  /** Ends the connection and what runs on it. Harmless when called again. */
  close(): void;
}

/** Begins to connect at once; requests wait until the agent's SETTINGS have come, and fail with the connection's error. */
export function openAgentConnection(endpoint: string): AgentConnection {
  // As connect writes it: host in lower case, no port where it is 80.
  const authority = new URL(`http://${endpoint}`).origin;
  let session: ClientHttp2Session | undefined;
  const ready = new Promise<ClientHttp2Session>((resolve, reject) => {
    const opened = connect(authority, { settings: { enablePush: false } });
    session = opened;
    let failure: unknown = new Error("the connection was closed");
    // Both for the whole life of the connection.
    opened.on("error", (error) => {
      failure = error;
    });
    opened.on("close", () => reject(failure));
    opened.once("remoteSettings", () => resolve(opened));
  });
  // Nobody may have asked yet when it fails.
  ready.catch(ignore);
  return {
    authority,
    async request(method, path, headers, options) {
      const stream = (await ready).request({ ...headers, ":method": method, ":path": path }, options);
      // A connection that is closing reports here, maybe before connect listens.
      stream.on("error", ignore);
      return stream;
    },
    notifyResponseByteRead: ignore,
    close: () => session?.destroy(),
  };
}

function ignore(): void {
  // Whoever made the request is told by its own listeners.
}
