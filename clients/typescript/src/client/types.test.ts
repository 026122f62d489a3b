/** What editors and compilers are told. `tsc` checks it in `npm run check`; at run time there is little to do. */
import { describe, expect, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { done, inMemoryRouter, MODEL, messages, say } from "../../test/in-memory-router.ts";
import { createDroverClient, DroverError, type DroverReason, jsonSchema, type ToolCall } from "../browser.ts";

const { transport } = inMemoryRouter({
  chat: () => [say("{}"), done()],
  generate: () => [{ case: "done", value: { response: "{}" } }],
});
const client = createDroverClient({ transport });
const trip = z.object({ city: z.string(), days: z.coerce.number() }).partial();

describe("the type of", () => {
  it("a reason is a literal that narrows", () => {
    const error: DroverError = new DroverError("x", { reason: "QUEUE_FULL", status: "RESOURCE_EXHAUSTED" });
    const { reason } = error;
    if (reason === "QUEUE_FULL") expectTypeOf(reason).toEqualTypeOf<"QUEUE_FULL">();
    switch (error.reason) {
      case "MODEL_NOT_FOUND":
        expectTypeOf(error.reason).toEqualTypeOf<"MODEL_NOT_FOUND">();
        break;
      default:
        expectTypeOf<"MODEL_NOT_FOUND">().not.toExtend<typeof error.reason>();
    }
    // @ts-expect-error -- misspelt
    expect(error.reason === "QUEUE_FUL").toBe(false);
    expectTypeOf<"CONNECTION_LOST" | "OTHER">().toExtend<DroverReason>();
    expectTypeOf(error.rawReason).toEqualTypeOf<string>();
    expectTypeOf<"OK">().not.toExtend<typeof error.status>();
    expectTypeOf<"UNAVAILABLE">().toExtend<typeof error.status>();
    expect(error.rawReason).toBe("QUEUE_FULL");
  });

  it("a parsed answer is its schema's", async () => {
    const parsed = await client.chat({ model: MODEL, messages, format: trip }).result();
    expectTypeOf(parsed.parsed).toEqualTypeOf<{ city?: string | undefined; days?: number | undefined }>();
    const typed = jsonSchema<{ a: number }>({ type: "object" });
    const generated = await client.generate({ model: MODEL, prompt: "", format: typed }).result();
    expectTypeOf(generated.parsed).toEqualTypeOf<{ a: number }>();
    const plain = await client.chat({ model: MODEL, messages, format: { type: "object" } }).result();
    expectTypeOf(plain.parsed).toEqualTypeOf<unknown>();
    const any = await client.chat({ model: MODEL, messages, format: "json" }).result();
    expectTypeOf(any.parsed).toEqualTypeOf<unknown>();
    const free = await client.chat({ model: MODEL, messages }).result();
    expectTypeOf(free.parsed).toEqualTypeOf<undefined>();
    expect([parsed.parsed, generated.parsed, plain.parsed, any.parsed, free.parsed]).toEqual([
      {},
      {},
      {},
      {},
      undefined,
    ]);
  });

  it("a parsed answer may be missing where the model may call a tool instead", async () => {
    const tools = [{ name: "clock" }] as const;
    const { parsed } = await client.chat({ model: MODEL, messages, tools, format: trip }).result();
    expectTypeOf(parsed).toEqualTypeOf<{ city?: string | undefined; days?: number | undefined } | undefined>();
    expect(parsed).toEqual({});
  });

  it("a tool call's arguments are its tool's, told apart by name", async () => {
    const stream = client.chat({
      model: MODEL,
      messages,
      tools: [
        { name: "weather", parameters: z.object({ city: z.string() }) },
        { name: "clock", parameters: { type: "object" } },
        { name: "dice" },
      ],
    });
    for await (const { toolCalls } of stream) {
      for (const call of toolCalls) {
        expectTypeOf(call.name).toEqualTypeOf<"weather" | "clock" | "dice">();
        if (call.name === "weather") expectTypeOf(call.arguments).toEqualTypeOf<{ city: string }>();
        if (call.name === "dice") expectTypeOf(call.arguments).toEqualTypeOf<unknown>();
      }
    }
    const result = await stream.result();
    expectTypeOf(result.toolCalls[0]).toExtend<ToolCall | undefined>();
    expect(result.toolCalls).toEqual([]);
  });

  it("a call without tools is of any tool", async () => {
    const result = await client.chat({ model: MODEL, messages }).result();
    expectTypeOf(result.toolCalls).toEqualTypeOf<readonly ToolCall[]>();
    expect(result.toolCalls).toEqual([]);
  });

  it("a request refuses what it does not know", () => {
    // @ts-expect-error -- Ollama's own spelling belongs into `extra`
    client.chat({ model: MODEL, messages, options: { num_ctx: 1 } });
    // @ts-expect-error -- a class that is none
    client.chat({ model: MODEL, messages }, { class: "urgent" });
    // @ts-expect-error -- without a model
    client.chat({ messages });
    client.chat({ model: MODEL, messages: [{ role: "critic", content: "any role that a newer Ollama knows" }] });
    expect(client.fleet).toBeDefined();
  });
});
