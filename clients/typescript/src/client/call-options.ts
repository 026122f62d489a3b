/**
 * What a caller may say about one call, and the metadata that it becomes. Wrong values are refused here, before anything is
 * sent; what they lead to is the router's matter.
 */
import { invalidArgument } from "../errors/drover-error.ts";
import { META } from "../metadata.ts";
import type { Progress } from "./progress.ts";

/** What may be said about one call. Wrong values fail it with INVALID_ARGUMENT_LOCAL before anything is sent. */
export interface CallOptions {
  /** Ends the call when it aborts, up to Ollama's socket; the call fails with reason CANCELLED and the signal's reason as `cause`. */
  readonly signal?: AbortSignal | undefined;
  /** The call's deadline in ms, above 0; over 99,999,999 counts as that. Default: the client's, else none. */
  readonly timeoutMs?: number | undefined;
  /** Longest wait for the first token in ms, 0 to 99,999,999. Default: the router's (120 s). */
  readonly maxWaitMs?: number | undefined;
  /** Calls with the same value prefer the node that served the last one. At most 1,024 ASCII characters. */
  readonly session?: string | undefined;
  /** Only nodes with all these labels. At most 32; letters, digits and `. _ - /` in keys, no space, comma or `=` in values. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Who goes first in queues. Default: "default". */
  readonly class?: "interactive" | "default" | "batch" | undefined;
  /** Who pays; believed only where the router trusts the caller. At most 1,024 ASCII characters. */
  readonly tenant?: string | undefined;
  /** This node, by id or name, and no other. */
  readonly node?: string | undefined;
  /** Whether the result says why the call went where it went. Default false. */
  readonly why?: boolean | undefined;
  /** Told while no token can come: the place in the queue, a load, a retry. An exception of it ends the call. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Sent as they are, beside the client's own. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A misspelt one must not be ignored: a call without the deadline or the signal that it was given does harm. */
const NAMES: Readonly<Record<keyof CallOptions, true>> = {
  signal: true,
  timeoutMs: true,
  maxWaitMs: true,
  session: true,
  labels: true,
  class: true,
  tenant: true,
  node: true,
  why: true,
  onProgress: true,
  headers: true,
};

/** What gRPC can carry: 8 digits. */
const LONGEST_MS = 99_999_999;
const LONGEST_TEXT = 1_024;
const MAX_LABELS = 32;
const CLASSES = ["interactive", "default", "batch"];
const TEXT = /^[\x20-\x7e]+$/;
/** As Drover's --labels. */
const LABEL_KEY = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
const LABEL_VALUE = /^[^\s,=]{1,255}$/;

/** Throws a DroverError for an option that is wrong. Typed options win over headers of the same name. */
export function callHeaders(defaults: Readonly<Record<string, string>>, options: CallOptions): Record<string, string> {
  for (const name in options) if (!Object.hasOwn(NAMES, name)) throw unknown(name);
  const headers: Record<string, string> = {};
  addHeaders(headers, defaults);
  if (options.headers !== undefined) addHeaders(headers, options.headers);
  if (options.node !== undefined) headers[META.node] = text("node", options.node);
  if (options.session !== undefined) headers[META.session] = text("session", options.session);
  if (options.tenant !== undefined) headers[META.tenant] = text("tenant", options.tenant);
  if (options.class !== undefined) headers[META.class] = oneOf("class", options.class, CLASSES);
  if (options.labels !== undefined) headers[META.labels] = labelText(options.labels);
  if (options.maxWaitMs !== undefined) headers[META.maxWaitMs] = String(milliseconds("maxWaitMs", options.maxWaitMs));
  if (options.why === true) headers[META.why] = "1";
  return headers;
}

/**
 * The deadline in whole ms that connect sends. Its own traps: it takes 0 for none, sends fractions and nine digits as they are,
 * which servers refuse, and its timer fires at once above 2^31.
 */
export function deadlineMs(timeoutMs: number | undefined): number | undefined {
  if (timeoutMs === undefined) return undefined;
  if (!(timeoutMs > 0))
    throw invalidArgument(`timeoutMs must be above 0, not ${timeoutMs}; leave it out for no deadline.`);
  return Math.min(Math.max(Math.floor(timeoutMs), 1), LONGEST_MS);
}

function unknown(name: string) {
  return invalidArgument(`There is no call option "${name}": ${Object.keys(NAMES).join(", ")}.`);
}

function addHeaders(headers: Record<string, string>, given: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(given)) headers[name.toLowerCase()] = value;
}

function text(option: string, value: string): string {
  const isText = typeof value === "string" && TEXT.test(value) && value.trim() !== "";
  if (!isText) throw invalidArgument(`${option} must be ASCII text that is not empty${hintFor(option)}.`);
  if (value.length > LONGEST_TEXT) throw invalidArgument(`${option} must have at most ${LONGEST_TEXT} characters.`);
  return value;
}

function hintFor(option: string): string {
  return option === "node" ? "; a node whose name has other letters is known by its id" : "";
}

function oneOf(option: string, value: string, allowed: readonly string[]): string {
  if (allowed.includes(value)) return value;
  throw invalidArgument(`${option} must be one of ${allowed.join(", ")}, not "${value}".`);
}

function milliseconds(option: string, value: number): number {
  if (value >= 0 && value <= LONGEST_MS) return Math.floor(value);
  throw invalidArgument(`${option} must be 0 to ${LONGEST_MS} ms, not ${value}.`);
}

function labelText(labels: Readonly<Record<string, string>>): string {
  const entries = Object.entries(labels);
  if (entries.length > MAX_LABELS) throw invalidArgument(`labels must be at most ${MAX_LABELS}.`);
  for (const [key, value] of entries) {
    if (!LABEL_KEY.test(key)) throw invalidArgument(`"${key}" is not a label's key: 1-63 letters, digits and . _ - /.`);
    if (!LABEL_VALUE.test(value) || !TEXT.test(value)) {
      throw invalidArgument(`The value of label "${key}" must be 1-255 ASCII characters without space, comma or =.`);
    }
  }
  return entries.map(([key, value]) => `${key}=${value}`).join(",");
}
