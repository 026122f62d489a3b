/** What an operator sees of calls: one trace from caller to Ollama, and /metrics of router and agent. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { INSTRUMENTS, type InstrumentDescription } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller, type GrpcJsCaller } from "../src/grpc-js-caller.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

interface Span {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
}

interface Collector {
  readonly url: string;
  readonly spans: Span[];
  close(): void;
}

interface OtlpSpan extends Omit<Span, "service" | "attributes"> {
  readonly attributes: readonly OtlpAttribute[];
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number };
}

/** Takes OTLP over HTTP as JSON, as a collector does. */
async function startCollector(): Promise<Collector> {
  const spans: Span[] = [];
  const server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const body = JSON.parse(Buffer.concat(parts).toString()) as {
        resourceSpans: { resource: { attributes: OtlpAttribute[] }; scopeSpans: { spans: OtlpSpan[] }[] }[];
      };
      for (const { resource, scopeSpans } of body.resourceSpans) {
        const service = plain(resource.attributes)["service.name"] ?? "";
        for (const span of scopeSpans.flatMap((scope) => scope.spans))
          spans.push({ ...span, service, attributes: plain(span.attributes) });
      }
      response.setHeader("content-type", "application/json").end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, spans, close: () => void server.close() };
}

function plain(attributes: readonly OtlpAttribute[]): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? String(value.intValue ?? "")]),
  );
}

describe("a call through router and agent", () => {
  const { chat, embed } = InferenceService.method;
  let collector: Collector;
  let ollama: SimOllamaProcess;
  let agent: DroverProcess;
  let router: DroverProcess;
  let grpc: GrpcJsCaller;

  beforeAll(async () => {
    collector = await startCollector();
    const env = {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_SCHEDULE_DELAY: "100",
    };
    ollama = await startSimOllama(["--models", "chat,embedder", "--speed", "200", "--load-seconds", "0.2"]);
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "one"], env);
    router = await startDrover("router", ["--nodes", agent.address], env);
    grpc = createGrpcJsCaller(router.address);
    await vi.waitUntil(async () => {
      const { nodes } = await grpc.unary(RouterService.method.listNodes, {});
      return nodes.some(({ availability }) => availability === 1);
    });
  }, 30_000);
  afterAll(async () => {
    grpc?.close();
    await router?.stop();
    await agent?.stop();
    await ollama?.close();
    collector?.close();
  });

  const say = { model: "chat", messages: [{ role: "user", content: "a secret prompt" }] };
  const spansOf = (traceId: string): Span[] => collector.spans.filter((span) => span.traceId === traceId);
  const metrics = async (process: DroverProcess): Promise<string> =>
    await (await fetch(`http://${process.opsAddress}/metrics`)).text();

  it("is one trace, below the caller's own span, to the headers of Ollama's request", async () => {
    const traceId = "0af7651916cd43dd8448eb211c80319c";
    await grpc.stream(chat, say, { metadata: { traceparent: `00-${traceId}-b7ad6b7169203331-01` } });
    await vi.waitFor(() => expect(spansOf(traceId).some(({ name }) => name === "decode")).toBe(true), {
      timeout: 10_000,
    });
    await vi.waitFor(() => expect(spansOf(traceId).some(({ name }) => name === "attempt")).toBe(true), {
      timeout: 10_000,
    });
    const spans = spansOf(traceId);
    const byName = (service: string, name: string): Span | undefined =>
      spans.find((span) => span.service === service && span.name === name);
    const call = byName("drover-router", "drover.inference.v1.InferenceService/Chat");
    const attempt = byName("drover-router", "attempt");
    const served = byName("drover-agent", "drover.inference.v1.InferenceService/Chat");
    expect(call?.parentSpanId).toBe("b7ad6b7169203331");
    expect(attempt?.parentSpanId).toBe(call?.spanId);
    expect(attempt?.attributes).toMatchObject({ "drover.node": "one", outcome: "ok" });
    expect(served?.parentSpanId).toBe(attempt?.spanId);
    expect(served?.attributes["drover.call"]).toBe(call?.attributes["drover.call"]);
    expect(call?.attributes).toMatchObject({ "rpc.response.status_code": "OK", "gen_ai.request.model": "chat:latest" });
    for (const part of ["load", "prefill", "decode"])
      expect(byName("drover-agent", part)?.parentSpanId).toBe(served?.spanId);
    expect(JSON.stringify(spans)).not.toContain("secret");
  });

  it("counts in the metrics of both, under names that the table describes", async () => {
    await grpc.stream(chat, say);
    const failed = grpc.unary(embed, { model: "nowhere", input: ["x"] });
    await expect(failed).rejects.toThrow(/nowhere/);
    const ofRouter = await metrics(router);
    const ofAgent = await metrics(agent);
    expect(ofRouter).toMatch(
      /^rpc_server_call_duration_count\{[^}]*rpc_method="drover\.inference\.v1\.InferenceService\/Chat",rpc_response_status_code="OK"\} [1-9]/m,
    );
    expect(ofRouter).toMatch(
      /^rpc_server_call_duration_count\{[^}]*rpc_method="drover\.router\.v1\.RouterService\/ListNodes"/m,
    );
    expect(ofRouter).toMatch(/^drover_attempts_total\{drover_node="one",outcome="ok"\} [1-9]/m);
    expect(ofRouter).toMatch(/^drover_nodes\{availability="available"\} 1$/m);
    expect(ofRouter).toMatch(/^drover_members\{source="static",standing="serving"\} 1$/m);
    expect(ofRouter).toMatch(/^drover_membership_trouble\{source="static"\} 0$/m);
    expect(ofRouter).toMatch(/^drover_nodes_ejected 0$/m);
    expect(ofRouter).toMatch(/^drover_request_bodies 0$/m);
    expect(ofRouter).toMatch(/^drover_relay_bytes_total\{direction="out"\} [1-9]/m);
    expect(ofRouter).toMatch(
      /gen_ai_server_request_duration_count\{[^}]*gen_ai_request_model="_OTHER",error_type="MODEL_NOT_FOUND"\} 1/,
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
