import { create } from "@bufbuild/protobuf";
import { GenerateRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { expect, test } from "vitest";
import { generateMethod } from "./inference-service.ts";

test("a prompt is measured in bytes, whatever its letters: routers compare with the bytes of a text", () => {
  const sizeOf = (prompt: string): number | undefined => {
    const request = create(GenerateRequestSchema, { model: "m", prompt });
    return generateMethod(request, { numCtx: undefined }).plan().promptBytes;
  };
  expect((sizeOf("\u4f60\u597d".repeat(500)) ?? 0) - (sizeOf("") ?? 0)).toBe(3_000);
});
