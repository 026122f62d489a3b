import { DroverError } from "@drover/platform";
import { describe, expect, test } from "vitest";
import { classifyOllamaFailure } from "../ollama/ollama-error.ts";
import { createLineReader } from "../ollama/ollama-line.ts";
import { loggedError } from "./logged-error.ts";

const SAID = "json: cannot unmarshal string My password is\nhunter2";

describe("the error of a call in the log", () => {
  test("does not repeat Ollama's words about a request that it refuses", () => {
    const error = classifyOllamaFailure({ node: "n", model: "m", status: 400, text: SAID, isEmbed: false });
    expect(loggedError(error)).toEqual({
      status: "INVALID_ARGUMENT",
      reason: "REQUEST_REJECTED",
      message: 'Ollama on node "n" refuses the request for model "m".',
      cause: undefined,
    });
  });

  test("does not repeat them when they come in the middle of an answer", () => {
    const reader = createLineReader({ node: "n", model: "m" });
    reader.read('{"response":"a"}');
    let logged: unknown;
    try {
      reader.read(JSON.stringify({ error: `invalid format ${SAID}` }));
    } catch (error) {
      logged = loggedError(error);
    }
    expect(logged).toMatchObject({ reason: "STREAM_BROKEN", message: expect.stringContaining("after 1 chunk.") });
    expect(JSON.stringify(logged)).not.toContain("hunter2");
  });

  test.each([
    ["a longer prompt than the context", 400, `exceeds the available context size: ${SAID}`],
    ["a capability that lacks", 400, `"x" does not support tools: ${SAID}`],
    ["a tool call that does not parse", 500, `error parsing tool call: raw='${SAID}'`],
    ["a format that holds the words of another failure", 500, `invalid format: "out of memory ${SAID}"`],
    ["a request that holds the words of a crash", 400, `json: unexpected EOF: connection reset ${SAID}`],
  ])("does not repeat them for %s", (_, status, text) => {
    const logged = loggedError(classifyOllamaFailure({ node: "n", model: "m", status, text, isEmbed: false }));
    expect(JSON.stringify(logged)).not.toContain("hunter2");
  });

  test("repeats them for a failed load, which has no prompt", () => {
    const text = "llama runner process has terminated: exit status 2";
    const logged = loggedError(classifyOllamaFailure({ node: "n", model: "m", status: 500, text, isEmbed: false }));
    expect(logged).toMatchObject({ reason: "LOAD_FAILED", message: expect.stringContaining("exit status 2") });
  });

  test("has no cause for a malformed request, and has it for a failure of the node", () => {
    const cause = new Error("My password is hunter2");
    expect(loggedError(new DroverError("malformed_request", "wrong", { cause })).cause).toBeUndefined();
    expect(loggedError(new DroverError("ollama_unreachable", "away", { cause })).cause).toBe(String(cause));
    expect(loggedError("strange")).toEqual({
      status: "INTERNAL",
      reason: "INTERNAL",
      message: "strange",
      cause: undefined,
    });
  });
});
