/**
 * A transport without a network: the test plays the node's side of every attempt, and sees what dispatch did to it.
 */
import { Buffer } from "node:buffer";
import { DroverError, type EndingKind, type Metadata, protoDuration, toGrpcTrailers } from "@drover/platform";
import type { AgentTransport, Attempt, AttemptEnd, AttemptListener, AttemptRequest } from "../transport/attempt.ts";
import { FrameScanner } from "../transport/frame-scanner.ts";
import { chunkFrame, doneFrame, progressFrame, unaryFrame, wordFrame } from "./frames.ts";

export class ScriptedTransport implements AgentTransport {
  readonly attempts: ScriptedAttempt[] = [];
  /** Thrown by the next `open`. */
  failure: Error | undefined;

  open(request: AttemptRequest, listener: AttemptListener): Attempt {
    if (this.failure !== undefined) throw this.failure;
    const attempt = new ScriptedAttempt(request, listener);
    this.attempts.push(attempt);
    return attempt;
  }

  /** The attempt that was opened last. */
  get last(): ScriptedAttempt {
    const attempt = this.attempts.at(-1);
    if (attempt === undefined) throw new Error("no attempt was made");
    return attempt;
  }

  /** Endpoints in the order of the attempts. */
  get endpoints(): readonly string[] {
    return this.attempts.map((attempt) => attempt.request.endpoint);
  }

  /** Attempts that neither ended nor were cancelled; a leak check asserts 0. */
  get running(): number {
    return this.attempts.filter((attempt) => attempt.isRunning).length;
  }
}

export class ScriptedAttempt implements Attempt {
  readonly request: AttemptRequest;
  readonly #listener: AttemptListener;
  readonly #scanner = new FrameScanner();
  isPaused = false;
  isCancelled = false;
  hasEnded = false;

  constructor(request: AttemptRequest, listener: AttemptListener) {
    this.request = request;
    this.#listener = listener;
  }

  get isRunning(): boolean {
    return !this.hasEnded && !this.isCancelled;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  cancel(): void {
    this.isCancelled = true;
  }

  /** Whole messages arrive. As the contract has it, nothing does after a cancel. */
  sends(...frames: readonly Uint8Array[]): void {
    if (!this.isRunning) return;
    const bytes = Buffer.concat(frames);
    this.#scanner.push(bytes);
    this.#listener.onMessages(bytes, this.#scanner);
  }

  progress(): void {
    this.sends(progressFrame());
  }

  /** The agent says what the attempt does. */
  queues(position = 1): void {
    this.sends(wordFrame({ case: "queued", value: { position } }));
  }

  loads(elapsedMs = 0): void {
    this.sends(wordFrame({ case: "loading", value: { elapsed: protoDuration(elapsedMs) } }));
  }

  reads(elapsedMs: number, expectedMs: number): void {
    const value = { elapsed: protoDuration(elapsedMs), expected: protoDuration(expectedMs) };
    this.sends(wordFrame({ case: "prefill", value }));
  }

  chunk(text = "t"): void {
    this.sends(chunkFrame(text));
  }

  done(): void {
    this.sends(doneFrame());
  }

  unaryAnswer(text?: string): void {
    this.sends(unaryFrame(text));
  }

  ends(end: AttemptEnd): void {
    if (!this.isRunning) return;
    this.hasEnded = true;
    this.#listener.onEnd(end);
  }

  ok(trailers: Metadata = {}): void {
    this.ends({ kind: "answered", trailers: { "grpc-status": "0", ...trailers } });
  }

  /** The node answers with a failure of Drover's. */
  fails(kind: EndingKind, message = "It failed.", retryAfterMs?: number): void {
    const error = new DroverError(kind, message, retryAfterMs === undefined ? {} : { retryAfterMs });
    this.ends({ kind: "answered", trailers: toGrpcTrailers(error) as Metadata });
  }

  /** The way to the node breaks. */
  breaks(kind: EndingKind = "node_unreachable", message = "The connection to the node was lost."): void {
    this.ends({ kind: "broken", error: new DroverError(kind, message, { cause: new Error("ECONNRESET 10.0.0.7") }) });
  }
}
