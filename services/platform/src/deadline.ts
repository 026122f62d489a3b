/**
 * Deadlines on the wire: `grpc-timeout` and `connect-timeout-ms` in and out, and what a hop keeps for itself. Only durations;
 * the clock stays with the caller.
 */
import { DroverError } from "./drover-error.ts";
import { META, type MetadataSource, readMetadata } from "./metadata.ts";

/** What gRPC can carry: 8 digits. As milliseconds 27.7 hours. */
const LONGEST_TIMEOUT_MS = 99_999_999;

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000001 };

/** Milliseconds (with a fraction, 0 or more) of a `grpc-timeout` such as `100m`, `5S`, `720H`; undefined when malformed. */
export function parseGrpcTimeoutMs(raw: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(raw);
  const unitMs = UNIT_MS[match?.[2] ?? ""];
  return match === null || unitMs === undefined ? undefined : Number(match[1]) * unitMs;
}

/** The `grpc-timeout` for the next hop: whole milliseconds, floored and clamped to 1..99,999,999. */
export function formatGrpcTimeout(remainingMs: number): string {
  return `${Math.min(Math.max(Math.floor(remainingMs), 1), LONGEST_TIMEOUT_MS)}m`;
}

/** Which header carries the deadline: a protocol has one, and does not know the other's. */
export type DeadlineKey = typeof META.grpcTimeout | typeof META.connectTimeoutMs;

/** For a call that is known by its content type: of gRPC and gRPC-Web, or of Connect. */
export function deadlineKeyOf(header: Headers): DeadlineKey {
  return header.get("content-type")?.startsWith("application/grpc") === true ? META.grpcTimeout : META.connectTimeoutMs;
}

/**
 * The caller's deadline in milliseconds from now; undefined without one. Throws a DroverError when it has passed, or is too near
 * for any answer to arrive before it. A malformed value is refused, and so is a header that came twice (Node joins the two by a
 * comma) or empty: ignoring it would leave a call without the end that its caller asked for.
 */
export function readDeadlineMs(source: MetadataSource, key: DeadlineKey): number | undefined {
  const raw = source instanceof Headers ? source.get(key) : source[key];
  if (raw === undefined || raw === null) return undefined;
  const givenMs = parse(readMetadata(source, key) ?? "", key);
  if (hopDeadlineMs(givenMs) < 1) {
    const message = `The deadline passed as the call came in: it allows ${givenMs} ms, which is too short for any answer.`;
    throw new DroverError("deadline_exceeded", message);
  }
  return givenMs;
}

function parse(text: string, key: DeadlineKey): number {
  if (key === META.grpcTimeout) return parseGrpcTimeoutMs(text) ?? refuse(key, "1 to 8 digits and one of H M S m u n");
  return /^\d{1,10}$/.test(text) ? Number(text) : refuse(key, "1 to 10 digits");
}

/**
 * When this hop ends, given its caller's remaining time: 2 % earlier, but at least 5 and at most 50 ms, so that the caller gets
 * our message and not only its own timer. Below 1 the call ends at once.
 */
export function hopDeadlineMs(givenMs: number): number {
  return givenMs - Math.max(5, Math.min(50, givenMs * 0.02));
}

function refuse(key: string, expected: string): never {
  throw new DroverError("malformed_request", `The metadata key ${key} must be ${expected}.`, { facts: { key } });
}
