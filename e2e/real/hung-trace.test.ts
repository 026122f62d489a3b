/** The trace of a call whose first attempt hangs: slow, because a hang takes seconds to be one. */
import { randomBytes } from "node:crypto";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama } from "@drover/sim-ollama";
import { expect, it, onTestFinished, vi } from "vitest";
import { startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller } from "../src/grpc-js-caller.ts";
import { startSpanCollector } from "../src/span-collector.ts";

const SOON = { timeout: 10_000 };
const CHAT = "drover.inference.v1.InferenceService/Chat";

it("holds both attempts below the call: the one that hung is lost, the one beside it answered", async () => {
  const collector = await startSpanCollector();
  onTestFinished(() => collector.close());
  const ollamas = await Promise.all([0, 1].map(() => createSimOllama({ models: ["chat"], loadSeconds: 0 })));
  const agents = await Promise.all(
    ollamas.map(({ url }, index) => startDrover("agent", ["--ollama", url, "--name", `node-${index}`], collector.env)),
  );
  const nodes = agents.map(({ address }) => address).join();
  const router = await startDrover("router", ["--nodes", nodes], collector.env);
  const grpc = createGrpcJsCaller(router.address);
  onTestFinished(async () => {
    grpc.close();
    for (const program of [router, ...agents]) await program.stop();
    for (const ollama of ollamas) await ollama.close();
  });
  await vi.waitUntil(async () => {
    const listed = await grpc.unary(RouterService.method.listNodes, {});
    return listed.nodes.filter(({ availability }) => availability === 1).length === 2;
  }, SOON);
  const say = (traceId: string, more: Record<string, string> = {}) => {
    const metadata = { traceparent: `00-${traceId}-b7ad6b7169203331-01`, ...more };
    const request = { model: "chat", messages: [{ role: "user", content: "hello" }] };
    return grpc.stream(InferenceService.method.chat, request, { metadata });
  };
  // Both have the model in memory before one of them hangs.
  for (const name of ["node-0", "node-1"]) await say(randomBytes(16).toString("hex"), { "drover-node": name });
  ollamas[0]?.setFaults([{ kind: "hang", endpoint: "chat" }]);
  const traces = [randomBytes(16).toString("hex"), randomBytes(16).toString("hex")];
  const ends = await Promise.all(traces.map((traceId) => say(traceId)));
  expect(ends.map(({ error }) => error)).toEqual([undefined, undefined]);
  const trees = await Promise.all(traces.map((traceId) => collector.trace(traceId, [CHAT, CHAT, "attempt"])));
  const attempts = await vi.waitUntil(
    () =>
      trees
        .map((tree) =>
          collector.spans.filter(({ name, traceId }) => name === "attempt" && traceId === tree[0]?.traceId),
        )
        .find(({ length }) => length === 2),
    SOON,
  );
  const outcomes = new Map(attempts.map(({ attributes }) => [attributes["drover.node"], attributes["outcome"]]));
  expect(outcomes).toEqual(
    new Map([
      ["node-0", "lost"],
      ["node-1", "ok"],
    ]),
  );
  const lost = attempts.find(({ attributes }) => attributes["outcome"] === "lost");
  expect(lost?.attributes["drover.hang"]).toBe("slot-quiet");
  const served = collector.spans.filter(({ name, traceId }) => name === CHAT && traceId === lost?.traceId);
  const call = served.find(({ service }) => service === "drover-router");
  expect(attempts.map(({ parentSpanId }) => parentSpanId)).toEqual([call?.spanId, call?.spanId]);
  const metrics = await (await fetch(`http://${router.opsAddress}/metrics`)).text();
  expect(metrics).toMatch(/^drover_attempts_hung_total\{drover_node="node-0",hang="slot-quiet"\} [12]$/m);
}, 60_000);
