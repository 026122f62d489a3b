/**
 * Tool calls: makes the text of one, and finds calls in what a model wrote. As in Ollama's parser an answer that starts
 * with `{` is held back until it turns out to be a call or not. Knows nothing of HTTP.
 */
import { writeJson } from "./json-writer.ts";

export interface Tool {
  readonly name: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface ToolCall {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** A tool whose name the prompt speaks of; that is when a simulated model calls it. */
export function mentionedTool(tools: readonly Tool[], prompt: string): Tool | undefined {
  const lower = prompt.toLowerCase();
  return tools.find((tool) => tool.name !== "" && lower.includes(tool.name.toLowerCase()));
}

export function writeToolCall(tool: Tool, seed: string): string {
  return `{"name": ${JSON.stringify(tool.name)}, "arguments": ${writeJson({ type: "object", ...tool.parameters }, seed)}}`;
}

export interface ToolCallParser {
  /** What may be said now, and a call when one is complete. */
  push(text: string): { readonly text: string; readonly call?: ToolCall };
  /** What was held back and is no call. */
  flush(): string;
}

export function createToolCallParser(tools: readonly Tool[]): ToolCallParser {
  let held = "";
  let isPlain = tools.length === 0;
  return {
    push: (text) => {
      if (isPlain) return { text };
      held += text;
      const start = held.trimStart().charAt(0);
      if (start === "" || (start === "{" && !isBalanced(held))) return { text: "" };
      isPlain = true;
      const call = parseCall(held, tools);
      return call === undefined ? { text: held } : { text: "", call };
    },
    flush: () => (isPlain ? "" : held),
  };
}

/** Counts braces without regard to strings, as Ollama does. */
function isBalanced(text: string): boolean {
  let depth = 0;
  for (const character of text) {
    if (character === "{") depth += 1;
    if (character === "}") depth -= 1;
    if (character === "}" && depth === 0) return true;
  }
  return false;
}

function parseCall(text: string, tools: readonly Tool[]): ToolCall | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { name, arguments: given, parameters } = value as { name?: unknown; arguments?: unknown; parameters?: unknown };
  const tool = tools.find((candidate) => candidate.name === name);
  if (tool === undefined) return undefined;
  // Ollama 0.24.0 loses the order of the arguments: here they come sorted.
  const sorted = Object.entries(Object(given ?? parameters ?? {})).sort(([a], [b]) => (a < b ? -1 : 1));
  return { name: tool.name, arguments: Object.fromEntries(sorted) };
}
