/**
 * Reads parsed JSON of Ollama leniently: a value of another type than expected counts as not said, whatever a newer or older
 * version makes of a field.
 */

export type JsonObject = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
}

export function asArray(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Empty when it is no text. */
export function asText(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** 0 when it is no number. */
export function asNumber(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

/** A whole number as protobuf's int32 can hold it, which throws at anything else. */
export function asInt32(value: unknown): number {
  return Math.min(Math.max(Math.trunc(asNumber(value)), -0x8000_0000), 0x7fff_ffff);
}

/** A whole number from 0 on that JavaScript can hold exactly; else 0. */
export function asCount(value: unknown): number {
  const whole = Math.trunc(asNumber(value));
  return Number.isSafeInteger(whole) ? Math.max(0, whole) : 0;
}

/** The object in `text`; undefined when it is no JSON or no object. */
export function parseObject(text: string): JsonObject | undefined {
  try {
    return asObject(JSON.parse(text));
  } catch {
    return undefined;
  }
}
