import { expect, test } from "vitest";
import { type ChatMessage, type RenderOptions, renderChat } from "./chat-template.ts";

const message = (role: string, content: string, extra: Partial<ChatMessage> = {}): ChatMessage => ({
  role,
  content,
  thinking: "",
  imageCount: 0,
  toolCalls: [],
  ...extra,
});

function rendered(messages: readonly ChatMessage[], options: Partial<RenderOptions> = {}): string {
  return renderChat({
    messages,
    tools: [],
    think: undefined,
    isTruncating: true,
    contextTokens: 1000,
    countTokens: (text) => text.length / 10,
    ...options,
  }).text;
}

test("messages become chatml with the assistant's turn open", () => {
  expect(rendered([message("system", "S"), message("user", "U")])).toBe(
    "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n",
  );
});

test("images are numbered through all messages, at [img] or in front", () => {
  const text = rendered([message("user", "see [img] and", { imageCount: 2 }), message("user", "x", { imageCount: 1 })]);
  expect(text).toContain("user\n[img-1]see [img-0] and");
  expect(text).toContain("user\n[img-2]x");
});

test("the oldest go until the rest fits; system messages and the last stay", () => {
  const long = "y".repeat(500);
  const messages = [
    message("system", "S"),
    message("user", `A${long}`),
    message("user", `B${long}`),
    message("user", "C"),
  ];
  const text = rendered(messages, { contextTokens: 70 });
  expect([text.includes("S"), text.includes("A"), text.includes("B"), text.includes("C")]).toEqual([
    true,
    false,
    true,
    true,
  ]);
  expect(rendered(messages, { contextTokens: 1 })).toContain("C");
  expect(rendered(messages, { contextTokens: 1, isTruncating: false })).toContain("A");
});

test("a model told not to think gets an empty thought", () => {
  expect(rendered([message("user", "U")], { think: false })).toMatch(/assistant\n<think>\n\n<\/think>\n\n$/);
});
