/**
 * The values that flags, environment and file may hold, each with the one spelling that all programs share and with words for
 * what is wrong. Each schema reads text, because all three sources can be written as text.
 */
import { z } from "zod";
import { CONSUL_HTTP_PORT } from "../consul-access.ts";
import { type HostPort, parseHostPort } from "../host-port.ts";
import { isLabels, type Labels, parseLabels } from "../labels.ts";

type TextSchema<T> = z.ZodType<T, string>;

/** A schema from a function that returns the value, or a problem in words that finish the sentence "must be …". */
export function textSchema<T>(
  read: (text: string) => { readonly value: T } | { readonly problem: string },
): TextSchema<T> {
  return z.string().transform((text, context) => {
    const result = read(text.trim());
    if ("value" in result) return result.value;
    context.addIssue({ code: "custom", message: result.problem });
    return z.NEVER;
  });
}

/** `127.0.0.1:50051`, `[::1]:50051`, `gpu-1:50052`. */
export function hostPort(defaultPort?: number): TextSchema<HostPort> {
  const problem = `HOST:PORT${defaultPort === undefined ? "" : ` or HOST (port ${defaultPort})`}, as 127.0.0.1:50051`;
  return textSchema((text) => {
    const value = parseHostPort(text, defaultPort);
    return value === undefined ? { problem } : { value };
  });
}

/** As `hostPort`, kept as text. */
export function hostPortText(): TextSchema<string> {
  return textSchema((text) =>
    parseHostPort(text) === undefined ? { problem: "HOST:PORT, as 127.0.0.1:50051" } : { value: text },
  );
}

const DURATION_UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export interface DurationRange {
  readonly minMs?: number;
  readonly maxMs?: number;
}

/** `250ms`, `120s`, `5m`, `1.5h` as milliseconds. A bare number is refused: nobody could tell its unit. */
export function durationMs(range: DurationRange = {}): TextSchema<number> {
  const { minMs = 0, maxMs = 24 * 3_600_000 } = range;
  return textSchema((text) => {
    const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m|h)$/.exec(text);
    const unitMs = DURATION_UNITS_MS[match?.[2] ?? ""];
    if (match === null || unitMs === undefined)
      return { problem: "a duration with its unit, as 250ms, 120s, 5m or 1h" };
    const value = Number(match[1]) * unitMs;
    if (value < minMs || value > maxMs) return { problem: `a duration from ${formatMs(minMs)} to ${formatMs(maxMs)}` };
    return { value };
  });
}

export function integer(min: number, max: number): TextSchema<number> {
  return textSchema((text) => {
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max ? { value } : { problem: `a whole number from ${min} to ${max}` };
  });
}

export function number(min: number, max: number): TextSchema<number> {
  return textSchema((text) => {
    const value = text === "" ? Number.NaN : Number(text);
    return value >= min && value <= max ? { value } : { problem: `a number from ${min} to ${max}` };
  });
}

export function oneOf<const T extends string>(values: readonly T[]): TextSchema<T> {
  return textSchema((text) => {
    const value = values.find((each) => each === text.toLowerCase());
    return value === undefined ? { problem: `one of ${values.join(", ")}` } : { value };
  });
}

export function labels(): TextSchema<Labels> {
  return textSchema((text) => {
    const value = parseLabels(text);
    return isLabels(value) ? { value } : { problem: `labels, as gpu=a100,zone=eu; ${value.problem}` };
  });
}

/** Text of one line. */
export function text(maxLength = 255): TextSchema<string> {
  return textSchema((value) => {
    const isPlain = value.length >= 1 && value.length <= maxLength && !/\p{Cc}/u.test(value);
    return isPlain ? { value } : { problem: `1 to ${maxLength} characters on one line` };
  });
}

/** `http://127.0.0.1:11434`; `host:port` means http, `host` http at `defaultPort`. Kept without a slash at the end. */
export function httpUrl(defaultPort?: number): TextSchema<string> {
  return textSchema((value) => {
    const hasScheme = /^[a-z]+:\/\//i.test(value);
    const url = URL.parse(hasScheme ? value : `http://${value}`);
    if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "") {
      return { problem: "an address, as http://127.0.0.1:11434" };
    }
    // URL hides a port that was written and is the scheme's default.
    const hasPort = hasScheme || /:\d+$/.test(value.split("/", 1)[0] ?? "");
    if (defaultPort !== undefined && !hasPort) url.port = String(defaultPort);
    return { value: `${url.origin}${url.pathname.replace(/\/+$/, "")}` };
  });
}

/** The address of a Consul, as `CONSUL_HTTP_ADDR` holds it; without scheme http, without scheme and port 8500. */
export function consulUrl(): TextSchema<string> {
  const schema = httpUrl(CONSUL_HTTP_PORT);
  return textSchema((value) => {
    if (value.startsWith("unix:")) return { problem: "a URL or HOST:PORT; sockets in the file system cannot be used" };
    // A URL hides what it does not use; a password that nobody sends would be looked for in the wrong place.
    if (/[@?#]/.test(value)) return { problem: "a URL or HOST:PORT without user, query or fragment" };
    const result = schema.safeParse(value);
    return result.success ? { value: result.data } : { problem: "a URL or HOST:PORT, as 127.0.0.1:8500" };
  });
}

/** The origin of a web page as browsers send it, or `*`. */
export function origin(): TextSchema<string> {
  return textSchema((value) => {
    const isOrigin = value === "*" || URL.parse(value)?.origin === value.toLowerCase();
    return isOrigin ? { value: value.toLowerCase() } : { problem: "an origin, as https://app.example, or *" };
  });
}

function formatMs(ms: number): string {
  if (ms >= 3_600_000 && ms % 3_600_000 === 0) return `${ms / 3_600_000}h`;
  if (ms >= 60_000 && ms % 60_000 === 0) return `${ms / 60_000}m`;
  return ms >= 1000 && ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}
