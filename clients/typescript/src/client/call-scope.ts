/**
 * One call's own end: the AbortSignal that its transport hears, fed by the caller's signal, by `cancel()` and by the client's
 * close. It knows why the call was ended, which the transport's error does not tell.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { clientError, type DroverError } from "../errors/drover-error.ts";
import { type FailedCall, toDroverError } from "../errors/from-connect-error.ts";

/** Calls of one client that run now. */
export class RunningCalls {
  readonly #running = new Set<CallScope>();
  #isClosed = false;

  /** Throws CLIENT_CLOSED afterwards, and CANCELLED for a signal that has aborted already. */
  enter(signal: AbortSignal | undefined): CallScope {
    if (this.#isClosed) throw closedError();
    const scope = new CallScope(signal, this.#running);
    if (signal?.aborted === true) throw scope.failure(signal.reason, { timeoutMs: undefined, hasAnswered: false });
    return scope;
  }

  /** Ends all of them. */
  close(): void {
    this.#isClosed = true;
    for (const scope of [...this.#running]) scope.end(closedError());
  }
}

export class CallScope {
  readonly #controller = new AbortController();
  readonly #caller: AbortSignal | undefined;
  readonly #running: Set<CallScope>;
  #why: unknown;

  constructor(caller: AbortSignal | undefined, running: Set<CallScope>) {
    this.#caller = caller;
    this.#running = running;
    running.add(this);
    // By hand: AbortSignal.any() keeps what it is made from (https://github.com/nodejs/node/issues/54614).
    caller?.addEventListener("abort", this.#onAbort, { once: true });
    if (caller?.aborted === true) this.#onAbort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the call; only the first reason counts. */
  end(why: unknown): void {
    if (this.#controller.signal.aborted) return;
    this.#why = why;
    this.leave();
    // Of this code connect-node makes RST_STREAM CANCEL, and of any other error INTERNAL_ERROR.
    this.#controller.abort(new ConnectError("the caller ended the call", Code.Canceled));
  }

  /** The call is over: nothing of it may be held. */
  leave(): void {
    this.#caller?.removeEventListener("abort", this.#onAbort);
    this.#running.delete(this);
  }

  /** What the caller is told of an error. Ends the call, so that the transport frees what it still holds. */
  failure(error: unknown, call: Omit<FailedCall, "isCancelled" | "cancelCause">): DroverError {
    const isCancelled = this.#controller.signal.aborted;
    const cancelCause = this.#why;
    this.end(error);
    return isCancelled
      ? toDroverError(isClosing(cancelCause) ? cancelCause : error, { ...call, isCancelled, cancelCause })
      : toDroverError(error, { ...call, isCancelled });
  }

  readonly #onAbort = (): void => this.end(this.#caller?.reason);
}

function closedError(): DroverError {
  return clientError("CLIENT_CLOSED", "This client was closed.");
}

function isClosing(why: unknown): boolean {
  return why instanceof Error && "reason" in why && why.reason === "CLIENT_CLOSED";
}
