import http2, { type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from "node:http2";
import { decodeGrpcMessage, encodeGrpcMessage, type RelayHandler, sleep, systemClock } from "@drover/platform";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { answerRandomly, randomExchange, SEED_KEY } from "../../services/router/test/random-exchange.ts";
import { framed, rawCallOn } from "../../services/router/test/raw-call.ts";
import { type RunningRouter, startRouter } from "../../services/router/test/running-router.ts";
import { type FakeAgent, startFakeAgent } from "../../services/routing/src/testing/fake-agent.ts";
import { afterProgress } from "../../services/routing/src/transport/frame-scanner.ts";

const MODEL = "llama3.2:1b";
const STREAMS = 10_000;
const AT_ONCE = 64;
const CONNECTIONS = 4;
const TRAILERS_ONLY = { ":status": 200, "content-type": "application/grpc" };

let agent: FakeAgent;
let router: RunningRouter;
/** How the agent answers Chat. */
let answer: RelayHandler;

beforeAll(async () => {
  agent = await startFakeAgent({
    id: "one",
    queueLimit: 0,
    relay: (headers) => (String(headers[":path"]).endsWith("/Chat") ? answer : undefined),
  });
  router = await startRouter("--nodes", agent.address);
});

beforeEach(() => {
  answer = answerRandomly(MODEL);
});

afterAll(async () => {
  await router.stop();
  agent.kill();
});

/** `windowBytes`: how much of a stream the router may send unasked. */
function connected(windowBytes = 65_535): ClientHttp2Session {
  const session = http2.connect(`http://${router.address}`, { settings: { initialWindowSize: windowBytes } });
  session.on("error", () => undefined);
  return session;
}

/** What was wrong with the call of this seed; undefined when every byte was right. */
async function problemOf(session: ClientHttp2Session, seed: number): Promise<string | undefined> {
  const { request, answer } = randomExchange(seed, MODEL);
  const got = await rawCallOn(session, {
    method: "Chat",
    body: request,
    // On a busy machine the router would put progress of its own into a slow answer. So the node's own does not come either.
    headers: { [SEED_KEY]: String(seed), "drover-progress": "off" },
    // Every eighth caller reads with a pause.
    ...(seed % 8 === 0 ? { onOpen: pauseOnce } : {}),
  });
  const status = (got.trailers ?? got.headers)["grpc-status"];
  if (status !== "0") return `seed ${seed}: status ${status}, reset ${got.rstCode}`;
  const wanted = afterProgress(answer);
  return got.data.equals(wanted) ? undefined : `seed ${seed}: ${got.data.length} bytes instead of ${wanted.length}`;
}

function pauseOnce(stream: ClientHttp2Stream): void {
  stream.once("data", () => {
    stream.pause();
    setTimeout(() => stream.resume(), 5);
  });
}

describe("10,000 random streams at once and after each other", () => {
  it("reach node and caller byte for byte", { timeout: 120_000 }, async () => {
    const sessions = Array.from({ length: CONNECTIONS }, () => connected());
    const problems: string[] = [];
    let next = 0;
    const caller = async (session: ClientHttp2Session): Promise<void> => {
      while (next < STREAMS) {
        const problem = await problemOf(session, next++);
        if (problem !== undefined) problems.push(problem);
      }
    };
    const callers = Array.from({ length: AT_ONCE }, (_, index) => sessions[index % CONNECTIONS]);
    await Promise.all(callers.map((session) => session && caller(session)));
    for (const session of sessions) session.close();
    expect(problems).toEqual([]);
  });
});

/** The largest window of HTTP/2 (RFC 9113, 6.9.2). */
const HUGE_WINDOW = 2 ** 31 - 1;

describe("flow control", () => {
  const windows = [1, 7, 65_535, HUGE_WINDOW];
  const pairs = windows.flatMap((ofCaller) => windows.map((ofAgent) => [ofCaller, ofAgent] as const));

  it.each(pairs)("takes windows of %i bytes at the caller and %i at the node", async (ofCaller, ofAgent) => {
    answer = withWindow(ofAgent);
    const session = connected(ofCaller);
    // The first call tells the router the agent's window; the second one begins with it.
    for (const seed of [1, 2, 3]) expect(await problemOf(session, seed)).toBeUndefined();
    session.close();
  });

  it("waits for a caller whose window is closed at first", async () => {
    const session = connected(0);
    const call = problemOf(session, 4);
    await sleep(systemClock, 100);
    session.settings({ initialWindowSize: 1_000 });
    expect(await call).toBeUndefined();
    session.close();
  });
});

/** Answers after the agent has told the router how much of a request it takes unasked. */
function withWindow(windowBytes: number): RelayHandler {
  const answerThen = answerRandomly(MODEL);
  return (stream, headers, flags, raw) => {
    stream.session?.settings({ initialWindowSize: windowBytes }, () => answerThen(stream, headers, flags, raw));
  };
}

describe("metadata", () => {
  const binary = Buffer.from([0, 1, 2, 250, 255]).toString("base64").replace(/=+$/, "");

  it("of the caller reaches the node as it came, binary values and duplicates in their order included", async () => {
    let got: IncomingHttpHeaders = {};
    answer = (stream, headers) => {
      got = headers;
      stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "5" }, { endStream: true });
    };
    const session = connected();
    const headers = { "x-many": ["b", "a", "b"], "x-bin": [binary, "AAEC"], "x-text": '50% of: ~ "it"', "x-empty": "" };
    await rawCallOn(session, { method: "Chat", body: randomExchange(1, MODEL).request, headers });
    session.close();
    // gRPC (PROTOCOL-HTTP2, Custom-Metadata): values of one key may be joined by commas, in their order.
    expect(got).toMatchObject({
      "x-many": "b, a, b",
      "x-bin": `${binary}, AAEC`,
      "x-text": headers["x-text"],
      "x-empty": "",
    });
  });

  it("in a node's trailers reaches the caller as it came, after an answer and instead of one", async () => {
    const own = { "x-many": ["b", "a", "b"], "x-bin": [binary, "AAEC"], "endpoint-load-metrics-bin": binary };
    const expected = { "x-many": "b, a, b", "x-bin": `${binary}, AAEC`, "endpoint-load-metrics-bin": binary };
    const session = connected();
    const request = { method: "Chat", body: randomExchange(1, MODEL).request };
    answer = (stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", ...own }));
      stream.end(framed(Buffer.of(0x1a)));
    };
    const answered = await rawCallOn(session, request);
    expect(answered.trailers).toMatchObject({ "grpc-status": "0", "drover-attempts": "1", ...expected });
    answer = (stream) =>
      stream.respond({ ...TRAILERS_ONLY, "grpc-status": "3", ...own, "drover-attempts": "9" }, { endStream: true });
    const refused = await rawCallOn(session, request);
    session.close();
    expect(refused.isTrailersOnly).toBe(true);
    expect(refused.headers).toMatchObject({ "grpc-status": "3", "drover-attempts": "1", ...expected });
  });

  it.each(["50 % of “it”", "a\nb\tc", "机器 😀", "%41 stays", "trailing space "])(
    "grpc-message %j keeps its text",
    async (text) => {
      answer = (stream) =>
        stream.respond(
          { ...TRAILERS_ONLY, "grpc-status": "3", "grpc-message": encodeGrpcMessage(text) },
          { endStream: true },
        );
      const session = connected();
      const { headers } = await rawCallOn(session, { method: "Chat", body: randomExchange(1, MODEL).request });
      session.close();
      const message = String(headers["grpc-message"]);
      expect(message).toMatch(/^[ -~]*$/);
      expect(decodeGrpcMessage(message)).toBe(`${text} (node "one", attempt 1)`);
    },
  );
});
