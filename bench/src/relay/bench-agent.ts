/**
 * An agent that costs next to nothing: Attach as the real one answers it, and Chat as raw frames. How many messages and at
 * which pace, the call says in its metadata. Run as a process of its own, so that its CPU is not the router's.
 */
import { create } from "@bufbuild/protobuf";
import { openListener, type RelayHandler, silentLogger, systemClock } from "@drover/platform";
import { AgentService, type AttachResponse, AttachResponseSchema } from "@drover/proto/drover/agent/v1/agent_pb";
import { CHAT_PATH, CHUNK_FRAME, DONE_FRAME, MODEL } from "./frames.ts";

const serveChat: RelayHandler = (stream, headers) => {
  const chunks = Number(headers["bench-chunks"] ?? 1);
  const paceMs = Number(headers["bench-pace-ms"] ?? 0);
  stream.resume();
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  if (paceMs === 0) {
    stream.end(Buffer.concat([...Array.from({ length: chunks }, () => CHUNK_FRAME), DONE_FRAME]));
    return;
  }
  let sent = 0;
  const timer = setInterval(() => {
    if (sent++ < chunks) {
      stream.write(CHUNK_FRAME);
      return;
    }
    clearInterval(timer);
    stream.end(DONE_FRAME);
  }, paceMs);
  stream.once("close", () => clearInterval(timer));
};

async function* attach(): AsyncIterable<AttachResponse> {
  const node = { id: "bench-node", name: "bench", incarnation: "1", version: "0", labels: {}, baseWeight: 100 };
  yield create(AttachResponseSchema, { event: { case: "welcome", value: { node, routerSecret: "bench" } } });
  const parts = {
    condition: { isOllamaReachable: true },
    inventory: { isComplete: true, models: [{ name: MODEL, capabilities: ["completion"] }] },
    load: { slotsPerRunner: 1_000, queueLimit: 100_000 },
  };
  for (let sequence = 1n; ; sequence++) {
    // What was sent counts as taken into account at once: the benchmark measures the relay, not the balancing.
    const ackedSend = BigInt(Number.MAX_SAFE_INTEGER);
    yield create(AttachResponseSchema, {
      event: { case: "status", value: { sequence, ackedSend, ...(sequence === 1n ? parts : {}) } },
    });
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

const listener = await openListener({
  listen: "127.0.0.1:0",
  isInsecureAllowed: false,
  allowHosts: [],
  corsOrigins: [],
  routes: (router) => router.service(AgentService, { attach }),
  relay: (headers) => (headers[":path" as keyof typeof headers] === CHAT_PATH ? serveChat : undefined),
  log: silentLogger,
  clock: systemClock,
});
process.send?.({ type: "ready", address: listener.address });
process.once("disconnect", () => process.exit());
