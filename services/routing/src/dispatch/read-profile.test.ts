import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { DroverError } from "@drover/platform";
import {
  ChatRequestSchema,
  EmbedRequestSchema,
  GenerateRequestSchema,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { describe, expect, it } from "vitest";
import { keyOf, MODEL } from "../testing/node-views.ts";
import { readProfile } from "./read-profile.ts";

function chat(request: MessageInitShape<typeof ChatRequestSchema> = {}, metadata: Record<string, string> = {}) {
  return readProfile(create(ChatRequestSchema, { model: MODEL, ...request }), metadata);
}

function generate(request: MessageInitShape<typeof GenerateRequestSchema> = {}) {
  return readProfile(create(GenerateRequestSchema, { model: MODEL, ...request }), {});
}

function refusal(read: () => unknown): DroverError {
  try {
    read();
  } catch (error) {
    if (error instanceof DroverError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

const IMAGE = new Uint8Array([1]);

describe("what a pick needs to know of a request", () => {
  it("is the model as it was written and as Ollama compares it", () => {
    expect(chat({ model: "Llama3" })).toMatchObject({ model: "Llama3", modelKey: keyOf("llama3:latest") });
  });

  it("is what its metadata asks for", () => {
    const profile = chat({}, { "drover-node": " b ", "drover-labels": "gpu=a100,zone=eu", "drover-session": "s1" });
    expect(profile).toMatchObject({ node: "b", session: "s1" });
    expect([...profile.labels]).toEqual([
      ["gpu", "a100"],
      ["zone", "eu"],
    ]);
    expect(chat()).toMatchObject({ node: undefined, session: undefined, labels: new Map() });
  });

  it.each([
    ["a chat", () => chat(), ["completion"]],
    ["tools", () => chat({ tools: [{}] }), ["completion", "tools"]],
    ["an image in any message", () => chat({ messages: [{}, { images: [IMAGE] }] }), ["completion", "vision"]],
    ["thinking", () => chat({ think: { kind: { case: "enabled", value: true } } }), ["completion", "thinking"]],
    ["no thinking", () => chat({ think: { kind: { case: "enabled", value: false } } }), ["completion"]],
    [
      "a level of thinking",
      () => chat({ think: { kind: { case: "level", value: "high" } } }),
      ["completion", "thinking"],
    ],
    ["a prompt", () => generate(), ["completion"]],
    ["a suffix", () => generate({ suffix: "}" }), ["completion", "insert"]],
    ["a prompt with an image", () => generate({ images: [IMAGE] }), ["completion", "vision"]],
    ["an embedding", () => readProfile(create(EmbedRequestSchema, { model: MODEL }), {}), ["embedding"]],
  ])("is what the model must be able to do for %s", (_what, read, capabilities) => {
    expect(read().capabilities).toEqual(capabilities);
  });

  it.each(["", "  "])("is refused without a model: %j", (model) => {
    expect(refusal(() => chat({ model }))).toMatchObject({ kind: "malformed_request" });
    expect(refusal(() => chat({ model })).message).toContain("names no model");
  });

  it.each(["no name!", "a/b/c/d/e", "x".repeat(5_000)])("is refused for what can be no model's name", (model) => {
    const error = refusal(() => chat({ model }));
    expect(error.kind).toBe("malformed_request");
    expect(error.message.length).toBeLessThan(400);
  });

  it("is refused for a cloud model, whose prompts would leave the building", () => {
    expect(refusal(() => chat({ model: "gpt-oss:120b-cloud" }))).toMatchObject({ kind: "permission_denied" });
  });

  it.each([
    ["drover-labels", "no labels"],
    ["drover-node", "n".repeat(1_025)],
    ["drover-session", "s".repeat(1_025)],
  ])("is refused with the name of the key when %s is wrong", (key, value) => {
    const error = refusal(() => chat({}, { [key]: value }));
    expect(error).toMatchObject({ kind: "malformed_request", facts: { key } });
    expect(error.message).toContain(key);
  });
});
