import type { EndingKind } from "@drover/platform";
import { describe, expect, test } from "vitest";
import { classifyOllamaFailure, ollamaUnreachable, unwrapErrorText } from "./ollama-error.ts";

const context = { node: "gpu-1", model: "llama3" };
const classify = (status: number, error: string, isEmbed = false) =>
  classifyOllamaFailure({ ...context, status, text: JSON.stringify({ error }), isEmbed });

describe("Ollama's failures", () => {
  // Texts of 0.24.0 as seen, and of 0.30 and later as they stand in its source.
  test.each<[number, string, EndingKind]>([
    [404, "model 'llama3' not found", "node_lacks_model"],
    [404, 'model "llama3" not found, try pulling it first', "node_lacks_model"],
    [503, "server busy, please try again.  maximum pending requests exceeded", "ollama_busy"],
    [503, "", "ollama_busy"],
    [400, "registry.ollama.ai/library/llama3 does not support tools", "capability_missing"],
    [400, '"llama3" does not support thinking', "capability_missing"],
    [400, '"llama3" does not support chat', "capability_missing"],
    [400, "raw mode does not support template, system, or context", "request_rejected"],
    [400, "the input length exceeds the context length", "context_exceeded"],
    [400, "the prompt is longer than the context length currently available", "context_exceeded"],
    [400, '{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}', "context_exceeded"],
    [400, "invalid character 'x' looking for beginning of value", "request_rejected"],
    [400, "top_logprobs must be between 0 and 20", "request_rejected"],
    [500, 'option "num_ctx" must be of type integer', "request_rejected"],
    [500, 'invalid format: "yaml"; expected "json" or a valid JSON Schema object', "request_rejected"],
    [500, "invalid JSON schema in format", "request_rejected"],
    [500, "llama runner process has terminated: exit status 2", "load_failed"],
    [500, "llama-server process has terminated: exit status 1: error loading model", "load_failed"],
    [500, "timed out waiting for llama-server to start - progress 0.10", "load_failed"],
    [500, "unable to load model: /models/blobs/sha256-1", "load_failed"],
    [500, "llama-server binary not found (checked: /usr/lib)", "load_failed"],
    [500, "model requires more system memory (5.0 GiB) than is available (1.0 GiB)", "out_of_memory"],
    [500, "llama-server reported out-of-memory during startup: cudaMalloc failed", "out_of_memory"],
    [500, "model runner has unexpectedly stopped, this may be due to resource limitations", "runner_crashed"],
    [500, "an error was encountered while running the model: unexpected EOF", "runner_crashed"],
    [500, "prediction aborted, token repeat limit reached", "token_repeat"],
    [401, "unauthorized", "ollama_denied"],
    [403, "", "ollama_denied"],
    [500, "something else", "ollama_failed"],
    [502, "bad gateway", "ollama_failed"],
    [405, "405 method not allowed", "ollama_failed"],
    [404, "404 page not found", "ollama_failed"],
  ])("%i %s is %s", (status, text, kind) => {
    expect(classify(status, text).kind).toBe(kind);
  });

  test.each<[string, EndingKind]>([
    ['do embedding request: Post "http://127.0.0.1:41234/embedding": EOF', "runner_crashed"],
    ["failed to encode response: json: unsupported value: NaN", "ollama_failed"],
    ["invalid input type", "request_rejected"],
    ["the input length exceeds the context length", "context_exceeded"],
    ["json: cannot unmarshal number into Go struct field", "request_rejected"],
  ])("a 400 of /api/embed is judged by its text: %s is %s", (text, kind) => {
    expect(classify(400, text, true).kind).toBe(kind);
  });

  test("names model, node and what to do", () => {
    expect(classify(404, "model 'llama3' not found").message).toBe(
      'There is no model "llama3" on node "gpu-1". Run "ollama pull llama3" there, or name a model that it has.',
    );
    expect(ollamaUnreachable(context, new Error("connect ECONNREFUSED 10.0.0.1:11434")).message).toBe(
      `Ollama on node "gpu-1" does not answer, so model "llama3" cannot run there. Start it (ollama serve), or check the agent's --ollama.`,
    );
  });

  test("keeps Ollama's own words for a wrong request", () => {
    expect(classify(500, 'option "num_ctx" must be of type integer').message).toContain(
      'option "num_ctx" must be of type integer',
    );
  });

  test("keeps Ollama's words for a refused request out of the log", () => {
    const error = classify(400, "json: cannot unmarshal string My password is hunter2");
    expect([error.kind, String(error.cause)]).toEqual(["request_rejected", "Error: Ollama answered 400"]);
    expect(error.message).toContain("hunter2");
  });

  test("tells no addresses to callers, and keeps them for the log", () => {
    const error = classify(500, 'failed to load model: Post "http://127.0.0.1:41234/x": from 10.0.0.7:80');
    expect(error.message).not.toMatch(/\d+\.\d+\.\d+\.\d+/);
    expect(String(error.cause)).toContain("127.0.0.1:41234");
  });

  test("unwraps the errors of llama-server, which come as JSON inside of JSON", () => {
    const inner = JSON.stringify({ error: { code: 400, message: "grammar is bad", type: "invalid_request_error" } });
    expect(unwrapErrorText(JSON.stringify({ error: inner }))).toBe("grammar is bad");
    expect(unwrapErrorText("<html>bad gateway</html>")).toBe("<html>bad gateway</html>");
    expect(unwrapErrorText("")).toBe("no reason given");
    expect(unwrapErrorText("x".repeat(10_000)).length).toBe(501);
  });
});
