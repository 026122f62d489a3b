import { create } from "@bufbuild/protobuf";
import { ChatRequestSchema, GenerateRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { describe, expect, test } from "vitest";
import type { InstalledModel } from "../status/model-inventory.ts";
import {
  type Capability,
  capabilitiesForChat,
  capabilitiesForGenerate,
  checkCapabilities,
} from "./required-capabilities.ts";

const model = (capabilities: string[] | undefined): InstalledModel => ({
  name: "m:latest",
  modelKey: "m",
  digest: "",
  sizeBytes: 0,
  capabilities,
  contextLength: 0,
  family: "",
  parameterSize: "",
  quantizationLevel: "",
  weightsKey: "",
  runnerOptionsJson: "",
});

const image = new Uint8Array([1]);

describe("what a request needs of a model", () => {
  test.each<[Capability[], Parameters<typeof create<typeof ChatRequestSchema>>[1]]>([
    [[], { messages: [{ role: "user", content: "x" }] }],
    [["tools"], { tools: [{ function: { name: "f" } }] }],
    [["vision"], { messages: [{ role: "user" }, { role: "user", images: [image] }] }],
    [["thinking"], { think: { kind: { case: "enabled", value: true } } }],
    [["thinking"], { think: { kind: { case: "level", value: "low" } } }],
    [[], { think: { kind: { case: "enabled", value: false } } }],
    [
      ["thinking", "tools", "vision"],
      { think: { kind: { case: "enabled", value: true } }, tools: [{}], messages: [{ images: [image] }] },
    ],
  ])("chat: %j", (needed, request) => {
    expect(capabilitiesForChat(create(ChatRequestSchema, request))).toEqual(needed);
  });

  test.each<[Capability[], Parameters<typeof create<typeof GenerateRequestSchema>>[1]]>([
    [[], { prompt: "x" }],
    [["vision"], { images: [image] }],
    [["insert"], { suffix: "end" }],
  ])("generate: %j", (needed, request) => {
    expect(capabilitiesForGenerate(create(GenerateRequestSchema, request))).toEqual(needed);
  });

  test("is refused with the names of model, node and capability", () => {
    expect(() => checkCapabilities(model(["completion"]), ["tools"], "n")).toThrow(
      'The model "m:latest" on node "n" lacks the capability "tools". Name a model that has it, or leave out what asks for it.',
    );
  });

  test("is granted to a model that has it, to one that is not known, and to one that hears", () => {
    checkCapabilities(model(["tools", "vision"]), ["vision", "tools"], "n");
    checkCapabilities(model(undefined), ["tools"], "n");
    checkCapabilities(model(["audio"]), ["vision"], "n");
  });
});
