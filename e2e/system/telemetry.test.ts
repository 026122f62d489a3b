/** What an operator sees of calls: one trace from caller to Ollama, and /metrics of router and agent. */
import { randomBytes } from "node:crypto";
import { INSTRUMENTS, type InstrumentDescription } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller, type GrpcJsCaller } from "../src/grpc-js-caller.ts";
import { startSimOllama } from "../src/sim-ollama-process.ts";
import { type CollectedSpan, type SpanCollector, startSpanCollector } from "../src/span-collector.ts";

const CALLER = "b7ad6b7169203331";
const CHAT = "drover.inference.v1.InferenceService/Chat";
const EMBED = "drover.inference.v1.InferenceService/Embed";
const SAY = { model: "chat", messages: [{ role: "user", content: "a secret prompt" }] };
const newTrace = (): string => randomBytes(16).toString("hex");

describe("a call through router and agent", () => {
  const { chat, embed } = InferenceService.method;
  let collector: SpanCollector;
  let ollamas: readonly SimOllama[];
  let agents: readonly DroverProcess[];
  let router: DroverProcess;
  let grpc: GrpcJsCaller;

  beforeAll(async () => {
    collector = await startSpanCollector();
    const models = ["chat", "embedder"];
    ollamas = await Promise.all([0, 1].map(() => createSimOllama({ models, speed: 200, loadSeconds: 0.2 })));
    const start = ({ url }: SimOllama, index: number) =>
      startDrover("agent", ["--ollama", url, "--name", `node-${index}`], collector.env);
    agents = await Promise.all(ollamas.map(start));
    router = await startDrover("router", ["--nodes", agents.map(({ address }) => address).join()], collector.env);
    grpc = createGrpcJsCaller(router.address);
    await vi.waitUntil(
      async () => {
        const { nodes } = await grpc.unary(RouterService.method.listNodes, {});
        return nodes.filter(({ availability }) => availability === 1).length === 2;
      },
      { timeout: 10_000 },
    );
  }, 30_000);
  afterEach(() => {
    for (const ollama of ollamas) {
      ollama.setFaults([]);
      ollama.clearRequests();
    }
  });
  afterAll(async () => {
    grpc?.close();
    await router?.stop();
    for (const agent of agents ?? []) await agent.stop();
    for (const ollama of ollamas ?? []) await ollama.close();
    collector?.close();
  });

  const below = (traceId: string, flags = "01") => ({ traceparent: `00-${traceId}-${CALLER}-${flags}` });
  const sayIn = (traceId: string, more: Record<string, string> = {}) =>
    grpc.stream(chat, SAY, { metadata: { ...below(traceId), ...more } });
  const find = (spans: readonly CollectedSpan[], service: string, name: string): CollectedSpan[] =>
    spans.filter((span) => span.service === `drover-${service}` && span.name === name);
  const asked = () => ollamas.flatMap((ollama) => ollama.requests()).find(({ path }) => path === "/api/chat");
  const metrics = async (process: DroverProcess): Promise<string> =>
    await (await fetch(`http://${process.opsAddress}/metrics`)).text();

  it("is one trace, below the caller's own span, to the headers of Ollama's request", async () => {
    const traceId = newTrace();
    await sayIn(traceId, { tracestate: "vendor=1,other=x", baggage: "user=ann,tier=gold;p=1" });
    const spans = await collector.trace(traceId, [CHAT, CHAT, "attempt", "decode"]);
    const [call] = find(spans, "router", CHAT);
    const [attempt] = find(spans, "router", "attempt");
    const [served] = find(spans, "agent", CHAT);
    expect(call?.parentSpanId).toBe(CALLER);
    expect(attempt?.parentSpanId).toBe(call?.spanId);
    expect(attempt?.attributes).toMatchObject({ "drover.node": expect.stringMatching(/^node-/), outcome: "ok" });
    expect(served?.parentSpanId).toBe(attempt?.spanId);
    expect(served?.attributes["drover.call"]).toBe(call?.attributes["drover.call"]);
    expect(call?.attributes).toMatchObject({ "rpc.response.status_code": "OK", "gen_ai.request.model": "chat:latest" });
    for (const part of ["load", "prefill", "decode"])
      expect(find(spans, "agent", part)[0]?.parentSpanId).toBe(served?.spanId);
    expect(JSON.stringify(spans)).not.toContain("secret");
    expect(asked()?.headers).toMatchObject({
      traceparent: `00-${traceId}-${served?.spanId}-01`,
      tracestate: "vendor=1,other=x",
      baggage: "user=ann,tier=gold;p=1",
    });
  });

  it("has each attempt below its one span when it is tried again", async () => {
    const [served = ""] = (await sayIn(newTrace())).trailers.get("drover-node");
    ollamas[Number(String(served).replace("node-", ""))]?.setFaults([
      { kind: "status", status: 503, endpoint: "chat" },
    ]);
    // Whether nodes take turns or one is preferred, a call of these begins at the node that has served before.
    let traceId = "";
    for (let call = 0, made = ""; call < 4 && made !== "2"; call++) {
      traceId = newTrace();
      made = String((await sayIn(traceId)).trailers.get("drover-attempts")[0]);
    }
    const spans = await collector.trace(traceId, [CHAT, CHAT, CHAT, "attempt", "attempt"]);
    const [call] = find(spans, "router", CHAT);
    const attempts = find(spans, "router", "attempt");
    expect(attempts.map(({ parentSpanId }) => parentSpanId)).toEqual([call?.spanId, call?.spanId]);
    expect(attempts.map(({ attributes }) => attributes["outcome"])).toEqual(["OLLAMA_BUSY", "ok"]);
    const atNodes = find(spans, "agent", CHAT);
    expect(atNodes.map(({ parentSpanId }) => parentSpanId).sort()).toEqual(attempts.map(({ spanId }) => spanId).sort());
  });

  it("has no attempt when it is refused", async () => {
    const traceId = newTrace();
    await grpc.stream(chat, { ...SAY, model: "nowhere" }, { metadata: below(traceId) });
    const spans = await collector.trace(traceId, [CHAT]);
    expect(spans.map(({ name, attributes }) => [name, attributes["error.type"]])).toEqual([[CHAT, "MODEL_NOT_FOUND"]]);
  });

  it("ends at both with its caller's leaving", async () => {
    const traceId = newTrace();
    for (const ollama of ollamas) ollama.setFaults([{ kind: "hang", endpoint: "chat" }]);
    const { error } = await grpc.stream(chat, SAY, {
      metadata: below(traceId),
      deadline: Date.now() + 60_000,
      leaveAfterMs: 500,
    });
    expect(error?.code).toBe(1);
    const spans = await collector.trace(traceId, [CHAT, CHAT, "attempt"]);
    expect(find(spans, "router", "attempt")[0]?.attributes["outcome"]).toBe("lost");
    expect(find(spans, "agent", CHAT)[0]?.attributes["error.type"]).toBe("CANCELLED");
    expect(find(spans, "router", CHAT)[0]?.attributes["error.type"]).toBe("CANCELLED");
  });

  it("has its place in the trace of a caller that speaks Connect", async () => {
    const traceId = newTrace();
    const answer = await fetch(`http://${router.address}/${EMBED}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...below(traceId) },
      body: JSON.stringify({ model: "embedder", input: ["x"] }),
    });
    expect(answer.status).toBe(200);
    const spans = await collector.trace(traceId, [EMBED, EMBED, "attempt"]);
    const [call] = find(spans, "router", EMBED);
    const [attempt] = find(spans, "router", "attempt");
    expect([call?.parentSpanId, attempt?.parentSpanId]).toEqual([CALLER, call?.spanId]);
    expect(find(spans, "agent", EMBED)[0]?.parentSpanId).toBe(attempt?.spanId);
  });

  it("has its place in the trace of a caller that asks the agent itself", async () => {
    const traceId = newTrace();
    const direct = createGrpcJsCaller(agents[0]?.address ?? "");
    await direct.stream(chat, SAY, { metadata: below(traceId) });
    direct.close();
    const [served] = find(await collector.trace(traceId, [CHAT, "decode"]), "agent", CHAT);
    expect(served?.parentSpanId).toBe(CALLER);
  });

  it("leaves no span where its caller decided so, and tells the next hop", async () => {
    const traceId = newTrace();
    await sayIn(traceId, below(traceId, "00"));
    expect(asked()?.headers["traceparent"]).toMatch(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`));
    // A later one is there, so this one would be.
    const after = newTrace();
    await sayIn(after);
    await collector.trace(after, [CHAT, CHAT]);
    expect(collector.spans.filter((span) => span.traceId === traceId)).toEqual([]);
  });

  it("begins a trace of its own where traceparent is malformed", async () => {
    const { error, trailers } = await grpc.stream(chat, SAY, {
      metadata: { traceparent: `00-${"0".repeat(32)}-${CALLER}-01` },
    });
    expect(error).toBeUndefined();
    const [call = ""] = trailers.get("drover-call");
    const spans = () => collector.spans.filter(({ attributes }) => attributes["drover.call"] === call);
    await vi.waitUntil(() => spans().length === 2, { timeout: 10_000 });
    const [began, ...others] = spans().sort((a, b) => b.service.localeCompare(a.service));
    expect(began?.parentSpanId ?? "").toBe("");
    expect(others.map(({ traceId }) => traceId)).toEqual([began?.traceId]);
  });

  it("counts in the metrics of both, under names that the table describes", async () => {
    for (let call = 0; call < 2; call++) await grpc.stream(chat, SAY);
    const failed = grpc.unary(embed, { model: "nowhere", input: ["x"] });
    await expect(failed).rejects.toThrow(/nowhere/);
    const ofRouter = await metrics(router);
    const ofAgents = await Promise.all(agents.map(metrics));
    const ofAgent = ofAgents[0] ?? "";
    expect(ofRouter).toMatch(
      /^rpc_server_call_duration_count\{[^}]*rpc_method="drover\.inference\.v1\.InferenceService\/Chat",rpc_response_status_code="OK"\} [1-9]/m,
    );
    expect(ofRouter).toMatch(
      /^rpc_server_call_duration_count\{[^}]*rpc_method="drover\.router\.v1\.RouterService\/ListNodes"/m,
    );
    expect(ofRouter).toMatch(/^drover_attempts_total\{drover_node="node-0",outcome="ok"\} [1-9]/m);
    expect(ofRouter).toMatch(/^drover_nodes\{availability="available"\} 2$/m);
    expect(ofRouter).toMatch(/^drover_members\{source="static",standing="serving"\} 2$/m);
    expect(ofRouter).toMatch(/^drover_membership_trouble\{source="static"\} 0$/m);
    expect(ofRouter).toMatch(/^drover_nodes_ejected 0$/m);
    expect(ofRouter).toMatch(/^drover_request_bodies 0$/m);
    expect(ofRouter).toMatch(/^drover_relay_bytes_total\{direction="out"\} [1-9]/m);
    expect(ofRouter).toMatch(
      /gen_ai_server_request_duration_count\{[^}]*gen_ai_request_model="_OTHER",error_type="MODEL_NOT_FOUND"\} [1-9]/,
    );
    expect(ofRouter).not.toContain("nowhere");
    expect(ofAgent).toMatch(
      /^gen_ai_server_time_to_first_token_count\{[^}]*gen_ai_request_model="chat:latest"\} [1-9]/m,
    );
    expect(ofAgent).toMatch(
      /^drover_tokens_total\{gen_ai_request_model="chat:latest",gen_ai_token_type="output"\} [1-9]/m,
    );
    for (const state of ["running", "cooling", "free"])
      expect(ofAgent).toMatch(new RegExp(`^drover_slots\\{state="${state}"\\} \\d`, "m"));
    const described = new Set(
      Object.values<InstrumentDescription>(INSTRUMENTS).map(({ name }) => name.replaceAll(".", "_")),
    );
    const shown = [...`${ofRouter}${ofAgent}`.matchAll(/^# TYPE (\S+) /gm)].map(
      ([, name]) => name?.replace(/_total$/, "") ?? "",
    );
    expect(shown.filter((name) => name !== "target_info" && !described.has(name))).toEqual([]);
  });
});

describe("a program without a collector", () => {
  it("needs none: it starts, shows its metrics and ends", async () => {
    const ollama = await startSimOllama(["--models", "chat"]);
    const agent = await startDrover("agent", ["--ollama", ollama.url]);
    const text = await (await fetch(`http://${agent.opsAddress}/metrics`)).text();
    expect(text).toContain("drover_queue 0");
    expect(await agent.stop()).toBe(0);
    await ollama.close();
  });
});
