/**
 * Reads `keep_alive` as Ollama does: a number is seconds, a string is a Go duration, anything negative is for ever.
 * Source: api.Duration.UnmarshalJSON.
 */
import { OllamaError } from "./ollama-error.ts";

/** Go's largest duration, 2^63 - 1 ns: what Ollama stores for "for ever". About 292 years. */
export const FOREVER_MS = 9_223_372_036_854;

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/** Milliseconds; undefined when the caller left it out. */
export function parseKeepAlive(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number") return value < 0 ? FOREVER_MS : value * 1000;
  if (typeof value === "string") {
    const parsedMs = parseGoDuration(value);
    return parsedMs < 0 ? FOREVER_MS : parsedMs;
  }
  throw new OllamaError(400, `Unsupported type: '${goTypeName(value)}'`);
}

/** `"300"` is an error on purpose: Go's durations need a unit, and only a bare 0 may go without. */
export function parseGoDuration(text: string): number {
  const quoted = JSON.stringify(text);
  const unsigned = text.replace(/^[+-]/, "");
  if (unsigned === "0") return 0;
  if (unsigned === "") throw new OllamaError(400, `time: invalid duration ${quoted}`);
  let rest = unsigned;
  let totalMs = 0;
  while (rest !== "") {
    const part = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest);
    if (part === null) throw new OllamaError(400, `time: invalid duration ${quoted}`);
    const unit = part[2] ?? "";
    if (unit === "") throw new OllamaError(400, `time: missing unit in duration ${quoted}`);
    const unitMs = UNIT_MS[unit];
    if (unitMs === undefined)
      throw new OllamaError(400, `time: unknown unit ${JSON.stringify(unit)} in duration ${quoted}`);
    totalMs += Number(part[1]) * unitMs;
    rest = rest.slice(part[0].length);
  }
  return text.startsWith("-") ? -totalMs : totalMs;
}

function goTypeName(value: unknown): string {
  if (typeof value === "boolean") return "bool";
  return Array.isArray(value) ? "[]interface {}" : "map[string]interface {}";
}
