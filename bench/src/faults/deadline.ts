/**
 * A caller gives 1 s and its node hangs: when the router's answer comes, by the caller's clock. The caller has no timer of its own here,
 * so that it is the router that is measured.
 */
import http2, { type ClientHttp2Session } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { ChatRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { createSimOllama } from "@drover/sim-ollama";
import { type Figure, quantile } from "../figure.ts";
import { CHAT_PATH, frame } from "../relay/frames.ts";
import { chatAt, MODEL } from "./chat.ts";
import { Fleet } from "./fleet.ts";

const CALLS = 20;
const DEADLINE_EXCEEDED = "4";
/** What is 1.0 s when it is rounded: an answer long before the deadline would be as wrong as one after it. */
const EARLIEST_SECONDS = 0.95;
const LATEST_SECONDS = 1.05;

const REQUEST = frame(
  toBinary(
    ChatRequestSchema,
    create(ChatRequestSchema, { model: MODEL, messages: [{ role: "user", content: "Say something." }] }),
  ),
);

export async function deadlineFigures(): Promise<readonly Figure[]> {
  const fleet = new Fleet();
  const ollama = await createSimOllama({ models: [MODEL], slots: CALLS, loadSeconds: 0.1 });
  try {
    const agent = await fleet.startAgent("node", ollama.address, CALLS);
    const router = await fleet.startRouter([agent.address]);
    await chatAt(router.address)(10_000);
    const session = http2.connect(`http://${router.address}`);
    const figures: Figure[] = [];
    for (const [name, afterChunks] of [
      ["before the first token", 0],
      ["after some tokens", 3],
    ] as const) {
      ollama.setFaults([{ kind: "hang", endpoint: "chat", afterChunks }]);
      const seconds = await Promise.all(Array.from({ length: CALLS }, () => answeredAfter(session)));
      figures.push(figureOf(`a deadline of 1 s, ${name}: answered`, seconds));
    }
    session.destroy();
    return figures;
  } finally {
    fleet.stop();
    await ollama.close();
  }
}

/** In seconds; NaN for any other status than DEADLINE_EXCEEDED. */
function answeredAfter(session: ClientHttp2Session): Promise<number> {
  return new Promise((resolve) => {
    const begin = performance.now();
    const stream = session.request({
      ":method": "POST",
      ":path": CHAT_PATH,
      "content-type": "application/grpc",
      te: "trailers",
      "grpc-timeout": "1S",
    });
    let status: unknown;
    const note = (headers: http2.IncomingHttpHeaders): void => {
      status ??= headers["grpc-status"];
    };
    stream.on("response", note);
    stream.on("trailers", note);
    stream.on("error", () => undefined);
    stream.on("close", () => resolve(status === DEADLINE_EXCEEDED ? (performance.now() - begin) / 1_000 : Number.NaN));
    stream.resume();
    stream.end(REQUEST);
  });
}

function figureOf(name: string, seconds: readonly number[]): Figure {
  const slowest = Math.max(...seconds);
  return {
    name,
    value: slowest,
    unit: "s after",
    goal: `${EARLIEST_SECONDS} to ${LATEST_SECONDS} s`,
    ok: quantile(seconds, 0) >= EARLIEST_SECONDS && slowest <= LATEST_SECONDS,
  };
}
