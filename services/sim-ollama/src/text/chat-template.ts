/**
 * Turns messages into the text that a model reads: chatml, as Ollama's built-in template writes it, with the tools in
 * front where there are any. Also drops the oldest messages that no longer fit, as chatPrompt in server/prompt.go does.
 */
import { ANSWER_MARKER } from "./writer.ts";

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly thinking: string;
  /** How many images; their bytes are never looked at. */
  readonly imageCount: number;
  readonly toolCalls: readonly unknown[];
}

export interface RenderedPrompt {
  readonly text: string;
  readonly imageCount: number;
}

export interface RenderOptions {
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly unknown[];
  /** False puts an empty thought in front of the answer, so that a thinking model does not think. */
  readonly think: boolean | undefined;
  /** Whether old messages may be dropped to fit into `contextTokens`. */
  readonly isTruncating: boolean;
  readonly contextTokens: number;
  readonly countTokens: (text: string) => number;
}

export function renderChat(options: RenderOptions): RenderedPrompt {
  const first = options.isTruncating ? firstThatFits(options) : 0;
  return render(withSystemFrom(options.messages, first), options);
}

/** System messages always stay, and so does the last message. */
function firstThatFits(options: RenderOptions): number {
  const last = options.messages.length - 1;
  for (let first = 0; first < last; first++) {
    const { text } = render(withSystemFrom(options.messages, first), options);
    if (options.countTokens(text) <= options.contextTokens) return first;
  }
  return Math.max(last, 0);
}

function withSystemFrom(messages: readonly ChatMessage[], first: number): ChatMessage[] {
  return [...messages.slice(0, first).filter((message) => message.role === "system"), ...messages.slice(first)];
}

function render(messages: readonly ChatMessage[], options: RenderOptions): RenderedPrompt {
  let imageCount = 0;
  let text = options.tools.length > 0 ? `<|im_start|>system\n${JSON.stringify(options.tools)}<|im_end|>\n` : "";
  for (const message of messages) {
    let content = message.content;
    let prefix = "";
    for (let i = 0; i < message.imageCount; i++) {
      const tag = `[img-${imageCount++}]`;
      if (content.includes("[img]")) content = content.replace("[img]", () => tag);
      else prefix += tag;
    }
    const calls = message.toolCalls.length > 0 ? JSON.stringify(message.toolCalls) : "";
    text += `<|im_start|>${message.role}\n${prefix}${content}${calls}<|im_end|>\n`;
  }
  const silenced = options.think === false ? "<think>\n\n</think>\n\n" : "";
  return { text: text + ANSWER_MARKER + silenced, imageCount };
}
