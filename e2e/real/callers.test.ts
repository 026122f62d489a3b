/**
 * A prompt crosses the fleet to the real Ollama and back, for callers that share no code with Drover: grpcurl, Python's
 * C-core, grpc-js. Each of them calls the router and the agent alike, because both serve the same service.
 */
import { fileURLToPath } from "node:url";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller } from "../src/grpc-js-caller.ts";
import { type RealOllama, startRealOllama } from "../src/real-ollama.ts";
import { describeWith } from "../src/real-programs.ts";
import { runProgram } from "../src/run-program.ts";

const CHAT = "drover.inference.v1.InferenceService/Chat";
const PYTHON_CALLER = fileURLToPath(new URL("callers.py", import.meta.url));

interface PythonCall {
  readonly code: string;
  readonly details: string;
  readonly kinds: readonly string[];
  readonly text: string;
  readonly trailers: Readonly<Record<string, string>>;
}

interface PythonReport {
  readonly services: readonly string[];
  readonly health: number;
  readonly chat: PythonCall;
  readonly gzip: PythonCall;
  readonly unknown: PythonCall;
  readonly late: PythonCall;
}

describeWith(["ollama", "model", "grpcurl", "python"], "the real Ollama behind a router and an agent", (programs) => {
  let ollama: RealOllama;
  let agent: DroverProcess;
  let router: DroverProcess;
  let model: string;
  const addressOf = { router: () => router.address, agent: () => agent.address };

  beforeAll(async () => {
    ollama = await startRealOllama();
    model = ollama.models.chat;
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "real", "--labels", "kind=cpu"]);
    router = await startDrover("router", ["--nodes", agent.address]);
  });

  afterAll(async () => {
    expect(await router?.stop()).toBe(0);
    expect(await agent?.stop()).toBe(0);
    await ollama?.close();
  });

  const hello = (extra: object = {}): string =>
    JSON.stringify({
      model,
      messages: [{ role: "user", content: "Say hello." }],
      options: { num_predict: 12, temperature: 0, seed: 1 },
      ...extra,
    });

  describe.each(["router", "agent"] as const)("through the %s", (place) => {
    const grpcurl = (...args: string[]) => runProgram(programs.grpcurl, ["-plaintext", ...args]);

    it("grpcurl lists and describes by reflection", async () => {
      const list = await grpcurl(addressOf[place](), "list");
      expect(list.stdout.split("\n")).toContain("drover.inference.v1.InferenceService");
      expect(list.stdout).toContain("grpc.health.v1.Health");
      const described = await grpcurl(addressOf[place](), "describe", "drover.inference.v1.ChatRequest");
      expect(described.stdout).toContain("repeated .drover.inference.v1.Message messages");
      const service = await grpcurl(addressOf[place](), "describe", "drover.inference.v1.InferenceService");
      expect(service.stdout).toContain("returns ( stream .drover.inference.v1.ChatResponse )");
    });

    it("grpcurl chats: chunks, then one `done` with Ollama's counts, and trailers", async () => {
      const chat = await grpcurl("-v", "-d", hello(), addressOf[place](), CHAT);
      expect(chat.stderr).toBe("");
      expect(chat.stdout.match(/"chunk": \{/g)?.length ?? 0).toBeGreaterThan(3);
      expect(chat.stdout.match(/"done": \{/g)).toHaveLength(1);
      expect(chat.stdout).toMatch(/"evalCount": 12/);
      expect(chat.stdout).toMatch(/"node": "real"/);
      expect(chat.stdout).toMatch(/"contextLength": \d+/);
      expect(chat.stdout).toMatch(/drover-node: real/);
      expect(chat.stdout).toMatch(/drover-ttft-ms: \d+/);
    });

    it("grpcurl shows the details of an error in words", async () => {
      const failed = await grpcurl("-d", hello({ model: "nobody-has-this" }), addressOf[place](), CHAT);
      expect(failed.code).not.toBe(0);
      expect(failed.stderr).toContain("Code: NotFound");
      expect(failed.stderr).toContain("nobody-has-this");
      expect(failed.stderr).toMatch(/"reason": "(MODEL_NOT_FOUND|NODE_LACKS_MODEL)"/);
    });

    it("refuses an option of the wrong type with Ollama's own words", async () => {
      const options = { extra_options_json: '{"num_ctx":"many"}' };
      const failed = await grpcurl("-d", hello({ options }), addressOf[place](), CHAT);
      expect(failed.stderr).toContain("Code: InvalidArgument");
      expect(failed.stderr).toContain('option "num_ctx" must be of type integer');
    });

    it("refuses tools for a model without that capability", async () => {
      const tools = [{ function: { name: "clock", parameters_json: '{"type":"object","properties":{}}' } }];
      const failed = await grpcurl("-d", hello({ tools }), addressOf[place](), CHAT);
      expect(failed.stderr).toContain("Code: FailedPrecondition");
      expect(failed.stderr).toContain("tools");
    });

    it("Python's C-core learns the contract by reflection and chats", async () => {
      const run = await runProgram(programs.python, [PYTHON_CALLER, addressOf[place](), model]);
      expect(run.stderr).toBe("");
      const report = JSON.parse(run.stdout) as PythonReport;
      expect(report.services).toContain("drover.inference.v1.InferenceService");
      expect(report.health).toBe(1);
      expect(report.chat).toMatchObject({ code: "OK" });
      expect(report.chat.kinds.at(-1)).toBe("done");
      expect(report.chat.text.length).toBeGreaterThan(5);
      // The same prompt, seed and node: whether the request was compressed must not matter.
      expect(report.gzip).toMatchObject({ code: "OK", text: report.chat.text });
      expect(report.unknown).toMatchObject({ code: "NOT_FOUND", kinds: [] });
      expect(report.late).toMatchObject({ code: "DEADLINE_EXCEEDED" });
    });
  });

  it("grpc-js gets the same text through the router as straight from the agent", async () => {
    const text = async (address: string): Promise<string> => {
      const caller = createGrpcJsCaller(address);
      const result = await caller.stream(InferenceService.method.generate, {
        model,
        prompt: "The sky is",
        options: { numPredict: 16, temperature: 0, seed: 7 },
      });
      caller.close();
      expect(result.error).toBeUndefined();
      return result.messages
        .map(({ event }) => (event.case === "chunk" || event.case === "done" ? event.value.response : ""))
        .join("");
    };
    const direct = await text(agent.address);
    expect(direct.length).toBeGreaterThan(10);
    expect(await text(router.address)).toBe(direct);
  });

  it("takes a node by its label and refuses one that nobody has", async () => {
    const withLabels = (labels: string) =>
      runProgram(programs.grpcurl, [
        "-plaintext",
        "-H",
        `drover-labels: ${labels}`,
        "-d",
        hello(),
        router.address,
        CHAT,
      ]);
    expect((await withLabels("kind=cpu")).code).toBe(0);
    const refused = await withLabels("kind=gpu");
    expect(refused.stderr).toContain("Code: NotFound");
    expect(refused.stderr).toContain("kind=gpu");
  });
});
