/**
 * The frame of one inference call: its id, who sent it, when it must end and why it ended. Everything that the call holds
 * (a place in the queue, a slot, Ollama's socket) hangs on its signal, so that it is freed at once, even while our own write
 * to a slow caller is blocked.
 */
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import {
  type Clock,
  callIdOf,
  DroverError,
  hopDeadlineMs,
  META,
  readDurationMs,
  readMetadata,
  readOnOff,
  readSequence,
  readText,
  setCallId,
  type Timer,
} from "@drover/platform";
import type { AttachedRouter, AttachedRouters } from "../status/attached-routers.ts";
import { CallTimes } from "./call-times.ts";

export interface CallIdentity {
  readonly callId: string;
  /** From a router that is attached; undefined for a direct caller. */
  readonly router: AttachedRouter | undefined;
  readonly attempt: string | undefined;
  readonly send: number | undefined;
  /** The node that the caller insists on. */
  readonly wantedNode: string | undefined;
  /** Whether progress is told. A router is always told: it takes a node that says nothing for hung. */
  readonly isProgressTold: boolean;
  /** How long it may wait for a slot; undefined without a limit of the caller's. */
  readonly maxWaitMs: number | undefined;
}

/** Reads the call's metadata. What only routers may say is believed only with the secret of an attached one. */
export function readIdentity(context: HandlerContext, routers: AttachedRouters): CallIdentity {
  const headers = context.requestHeader;
  const router = routers.find(readMetadata(headers, META.router));
  // Read in any case, so that a wrong value is refused.
  const isProgressTold = readOnOff(headers, META.progress) ?? true;
  const routersCallId = router === undefined ? undefined : readText(headers, META.call);
  if (routersCallId !== undefined) setCallId(context.values, routersCallId);
  return {
    callId: routersCallId ?? callIdOf(context.values),
    router,
    attempt: router === undefined ? undefined : readText(headers, META.attempt),
    send: router === undefined ? undefined : readSequence(headers, META.send),
    wantedNode: readText(headers, META.node),
    isProgressTold: isProgressTold || router !== undefined,
    maxWaitMs: readDurationMs(headers, META.maxWaitMs),
  };
}

export class CallScope {
  readonly times: CallTimes;
  readonly #controller = new AbortController();
  readonly #context: HandlerContext;
  readonly #subject: string;
  readonly #deadline: Timer | undefined;
  readonly #clock: Clock;
  /** Undefined without a deadline. */
  readonly #endsAtMs: number | undefined;
  #loadMs: () => number = () => 0;

  /** `subject` names node and model in messages. */
  constructor(context: HandlerContext, clock: Clock, subject: string) {
    this.#context = context;
    this.#subject = subject;
    this.#clock = clock;
    this.times = new CallTimes(clock, () => this.#loadMs());
    if (context.signal.aborted) this.#abortedByConnect();
    else context.signal.addEventListener("abort", this.#abortedByConnect, { once: true });
    const givenMs = context.timeoutMs();
    if (givenMs === undefined) return;
    const ownMs = hopDeadlineMs(givenMs);
    this.#endsAtMs = clock.nowMs() + ownMs;
    if (ownMs < 1) this.abort(this.#deadlineExceeded());
    else this.#deadline = clock.after(ownMs, () => this.abort(this.#deadlineExceeded()));
  }

  /** Aborts with a DroverError when the call must end now. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Until the deadline, in milliseconds; infinite without one. */
  get leftMs(): number {
    return this.#endsAtMs === undefined ? Number.POSITIVE_INFINITY : this.#endsAtMs - this.#clock.nowMs();
  }

  /** Where the load time of the wait for a slot is read from. */
  measureLoad(loadMs: () => number): void {
    this.#loadMs = loadMs;
  }

  /** Ends the call with `error`; the first reason stands. */
  abort(error: DroverError): void {
    this.#controller.abort(error);
  }

  /** Runs `action` when the call must end, at once when it must already. Returns what withdraws it. */
  onAbort(action: (reason: DroverError) => void): () => void {
    const run = (): void => action(this.signal.reason as DroverError);
    if (this.signal.aborted) {
      run();
      return () => undefined;
    }
    this.signal.addEventListener("abort", run, { once: true });
    return () => this.signal.removeEventListener("abort", run);
  }

  /** Rejects with the reason as soon as the call must end, else settles as `work` does. */
  race<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const withdraw = this.onAbort(reject);
      work.then(resolve, reject).finally(withdraw);
    });
  }

  /** Nothing ends the call from outside any more. */
  close(): void {
    this.times.ended();
    this.#deadline?.cancel();
    this.#context.signal.removeEventListener("abort", this.#abortedByConnect);
  }

  /** Connect aborts its signal for each end of a call, and its own deadline timer may be ahead of ours. */
  readonly #abortedByConnect = (): void => {
    const { reason } = this.#context.signal;
    if (reason instanceof DroverError) return this.abort(reason);
    if (!(reason instanceof ConnectError)) return this.abort(this.#cancelled(reason));
    if (reason.code === Code.DeadlineExceeded) return this.abort(this.#deadlineExceeded());
    if (reason.code === Code.Unavailable)
      return this.abort(new DroverError("node_draining", `${this.#subject}: the agent stops.`));
    this.abort(this.#cancelled(reason));
  };

  #cancelled(cause: unknown): DroverError {
    return new DroverError("cancelled", `The caller cancelled the call for ${this.#subject}.`, { cause });
  }

  #deadlineExceeded(): DroverError {
    const { times } = this;
    const message = `The deadline passed in the ${times.phase} for ${this.#subject}: ${times.describe()}.`;
    return new DroverError("deadline_exceeded", message);
  }
}
