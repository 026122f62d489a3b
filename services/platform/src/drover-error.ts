/**
 * The one error that Drover shows to callers: a kind from the table of endings, words for people, and facts for programs.
 * Errors of libraries and of the operating system are turned into it where they were met, and nowhere else.
 */
import { ENDINGS, type Ending, type EndingKind } from "./endings.ts";

export interface DroverErrorOptions {
  /** For programs: ErrorInfo.metadata, such as model, node, attempt. Never a prompt, a secret or an address. */
  readonly facts?: Readonly<Record<string, string>>;
  /** When a new try may succeed, in milliseconds; sent as RetryInfo and as grpc-retry-pushback-ms. */
  readonly retryAfterMs?: number;
  /** What was caught; goes to logs, never to the caller. */
  readonly cause?: unknown;
}

export class DroverError extends Error {
  override readonly name = "DroverError";
  readonly kind: EndingKind;
  readonly facts: Readonly<Record<string, string>>;
  readonly retryAfterMs: number | undefined;

  /** `message` is shown to the caller: it says which model and node, and what to do now. */
  constructor(kind: EndingKind, message: string, options: DroverErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.facts = options.facts ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }

  get ending(): Ending {
    return ENDINGS[this.kind];
  }
}

/** A broken promise of our own code. It ends the one call that met it, as INTERNAL with the call's id. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Throws an InvariantError when `holds` is false. */
export function invariant(holds: boolean, message: string): asserts holds {
  if (!holds) throw new InvariantError(message);
}
