/**
 * Stands before an agent as something on the way would: hands every stream on as it is, counts the calls, and breaks those that
 * a test tells it to break on the HTTP/2 connection.
 */
import http2, {
  type ClientHttp2Session,
  constants,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo } from "node:net";

/** How a call ends here instead of reaching the agent. */
export type BreakCall = (stream: ServerHttp2Stream) => void;

/** The ways in which a node fails that is no Ollama's fault. */
export const breakBy = {
  lostConnection: (stream) => stream.session?.destroy(),
  refusedStream: (stream) => stream.close(constants.NGHTTP2_REFUSED_STREAM),
  otherProgram: (stream) => {
    stream.respond({ ":status": 502, "content-type": "text/html" });
    stream.end("<h1>Bad gateway</h1>");
  },
} as const satisfies Record<string, BreakCall>;

export interface AgentFront {
  readonly address: string;
  /** Calls of InferenceService that came here, broken ones included. */
  readonly calls: number;
  /** Breaks all calls from now on; undefined hands them on. */
  breakCalls(how: BreakCall | undefined): void;
  close(): void;
}

export async function startAgentFront(agentAddress: string): Promise<AgentFront> {
  let calls = 0;
  let breaking: BreakCall | undefined;
  const sessions = new Set<{ destroy(): void }>();
  const keep = (session: { destroy(): void; once(event: "close", listener: () => void): unknown }): void => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  };
  let agent: ClientHttp2Session | undefined;
  const toAgent = (): ClientHttp2Session => {
    if (agent !== undefined && !agent.closed && !agent.destroyed) return agent;
    agent = http2.connect(`http://${agentAddress}`);
    agent.on("error", () => undefined);
    keep(agent);
    return agent;
  };
  const server = http2.createServer();
  server.on("session", (session) => keep(session.on("error", () => undefined)));
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    const isCall = headers[":path"]?.includes("InferenceService") === true;
    if (isCall) calls++;
    if (isCall && breaking !== undefined) breaking(stream);
    else handOn(stream, headers, toAgent());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get calls() {
      return calls;
    },
    breakCalls: (how) => {
      breaking = how;
    },
    close: () => {
      server.close();
      for (const session of sessions) session.destroy();
    },
  };
}

function handOn(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, agent: ClientHttp2Session): void {
  const { ":authority": _authority, ":scheme": _scheme, ...kept } = headers;
  const onward = agent.request(kept);
  onward.on("error", () => undefined);
  let trailers: IncomingHttpHeaders = {};
  onward.on("response", (answer, flags) => {
    const isOnly = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    stream.respond(withoutDate(answer), isOnly ? { endStream: true } : { waitForTrailers: true });
  });
  onward.on("trailers", (received) => {
    trailers = received;
  });
  stream.once("wantTrailers", () => stream.sendTrailers(trailers));
  stream.pipe(onward);
  onward.pipe(stream);
  stream.once("close", () => onward.close(stream.rstCode || constants.NGHTTP2_CANCEL));
  onward.once("close", () => {
    if (onward.rstCode !== constants.NGHTTP2_NO_ERROR) stream.close(onward.rstCode);
  });
}

/** The server sets its own. */
function withoutDate({ date: _date, ...headers }: IncomingHttpHeaders): IncomingHttpHeaders {
  return headers;
}
