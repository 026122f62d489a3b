/**
 * One call from its arrival to its one end: received → (refused | waiting → picked) → attempting → committed → ended.
 *
 * Everything here runs in single synchronous turns on events of the picker, the transport, the clock and the caller. It
 * moves whole messages, and after the commit it never looks into one.
 */
import { DroverError, type Metadata, type Timer } from "@drover/platform";
import type { Waiting } from "../balancing/picker.ts";
import type { AttemptEnd, FramesSeen } from "../transport/attempt.ts";
import { afterProgress } from "../transport/frame-scanner.ts";
import {
  brokenAfterCommit,
  describeFailure,
  notOneMessage,
  outcomeOf,
  unexpectedFailure,
  withRetryHint,
} from "./attempt-outcome.ts";
import { CallClock } from "./call-clock.ts";
import { CallProgress } from "./call-progress.ts";
import type { CallerStream, CallRequest } from "./call-request.ts";
import type { CallState } from "./call-state.ts";
import { deadlineError, reportTrailers } from "./call-times.ts";
import { CallWait, routerStopping } from "./call-wait.ts";
import { type ChoiceRequest, chooseNode, hasNodeToTry } from "./choose-node.ts";
import { deadlineTimer } from "./deadline-timer.ts";
import type { CallParts } from "./dispatcher.ts";
import { FailedNodes } from "./failed-nodes.ts";
import type { Hang } from "./hang-watch.ts";
import type { LiveAttempt } from "./live-attempt.ts";
import { LiveAttempts } from "./live-attempts.ts";
import { queuedFrame, retryingFrame } from "./progress-words.ts";
import { decideRetry } from "./retry-policy.ts";
import { pickSecond } from "./second-attempt.ts";
import { StalledCaller, stalledError } from "./stalled-caller.ts";

export class Call {
  readonly #parts: CallParts;
  readonly #request: CallRequest;
  readonly #caller: CallerStream;
  readonly #clock: CallClock;
  readonly #failed: FailedNodes;
  readonly #stalled: StalledCaller;
  readonly #wait: CallWait;
  readonly #progress: CallProgress;
  readonly #attempts: LiveAttempts;
  #state: CallState = { kind: "placing" };
  #deadline: Timer | undefined;

  constructor(parts: CallParts, request: CallRequest, caller: CallerStream) {
    this.#parts = parts;
    this.#request = request;
    this.#caller = caller;
    this.#failed = new FailedNodes(request.profile, parts.retry);
    const { model } = request.profile;
    this.#stalled = new StalledCaller(parts.clock, () => this.#guarded(() => this.#fail(stalledError(model))));
    this.#clock = new CallClock(parts.clock, request);
    this.#wait = new CallWait(parts, this.#clock, {
      lookAgain: () => this.#guarded(() => this.#place()),
      tooLong: (error) => this.#guarded(() => this.#fail(this.#failed.lastError ?? error)),
    });
    this.#progress = new CallProgress({
      clock: parts.clock,
      isWanted: request.isProgressWanted && !request.isUnary,
      onDue: () => this.#guarded(() => this.#sayProgress()),
    });
    this.#attempts = new LiveAttempts(parts, request, this.#clock, {
      onMessages: (attempt, bytes, seen) => this.#onMessages(attempt, bytes, seen),
      onEnd: (attempt, end) => this.#guarded(() => this.#onEnd(attempt, end)),
      onHung: (attempt, hang) => this.#guarded(() => this.#onHung(attempt, hang)),
    });
  }

  start(): void {
    this.#guarded(() => {
      if (this.#parts.isStopping()) return this.#failStopping();
      const leftMs = this.#clock.left().callMs;
      if (leftMs < 1) return this.#passDeadline();
      this.#deadline = deadlineTimer(this.#parts.clock, leftMs, () => this.#guarded(() => this.#passDeadline()));
      this.#place();
    });
  }

  /** The caller is gone: stops every attempt at once and says nothing more to it. */
  cancel(): void {
    if (this.#state.kind === "ended") return;
    const error = new DroverError("cancelled", "The caller cancelled the call or left.");
    this.#finish(error, {}, false);
  }

  /** Waiting longer would only end in being cut off; an attempt that runs has its time. */
  routerStops(): void {
    if (this.#state.kind === "waiting") this.#guarded(() => this.#failStopping());
  }

  /** The caller's end takes bytes again after a `write` that was answered false. */
  drained(): void {
    this.#stalled.moved();
    this.#attempts.resume();
  }

  /** Picks a node and begins an attempt, or waits, or refuses. Pick and lease are one turn. */
  #place(): void {
    const choice = chooseNode(this.#choiceRequest());
    switch (choice.kind) {
      case "picked":
        this.#wait.leave();
        this.#progress.stop();
        this.#state = { kind: "attempting" };
        return this.#attempts.begin(choice.node, choice.lease);
      case "pause":
        return this.#backOff(choice.afterMs, this.#request.profile.modelKey);
      case "wait":
        // A live node's failure says more than to wait on; one that vanished or drains may be back in time.
        if (this.#failed.lastError === undefined || this.#failed.isLastFree) return this.#waitFor(choice);
        return this.#fail(this.#failed.lastError);
      case "refused":
        if (choice.error.kind === "queue_full" && this.#failed.hasLostPlace)
          return this.#waitFor({ ...choice, kind: "wait" });
        return this.#fail(this.#failed.lastError ?? choice.error);
    }
  }

  #choiceRequest(): ChoiceRequest {
    const { picker, fleet, clock } = this.#parts;
    return { picker, snapshot: fleet.snapshot, failed: this.#failed, nowMs: clock.nowMs() };
  }

  #waitFor(reason: Waiting): void {
    if (this.#parts.isStopping()) return this.#failStopping();
    const refusal = this.#wait.wait(reason, this.#request.profile.modelKey);
    if (refusal !== undefined) return this.#fail(this.#failed.lastError ?? refusal);
    this.#state = { kind: "waiting" };
    this.#progress.begin();
  }

  /** The hot path: runs for each piece of a stream, so it allocates nothing once committed. */
  #onMessages(attempt: LiveAttempt, bytes: Uint8Array, seen: FramesSeen): void {
    try {
      if (this.#request.isUnary) return this.#hold(attempt, bytes);
      if (this.#state.kind === "attempting") return this.#beforeCommit(attempt, bytes, seen);
      if (!this.#caller.write(bytes)) this.#block(attempt);
    } catch (error) {
      this.#failUnexpectedly(error);
    }
  }

  #beforeCommit(attempt: LiveAttempt, bytes: Uint8Array, seen: FramesSeen): void {
    if (seen.outputs > 0) this.#commit(attempt);
    const told = this.#progress.admits(attempt) ? bytes : afterProgress(bytes);
    if (told.length > 0 && !this.#caller.write(told)) this.#block(attempt);
  }

  /** Says while no attempt runs what is waited for. */
  #sayProgress(): void {
    const { lastError } = this.#failed;
    const frame = lastError === undefined ? queuedFrame(this.#wait.place()) : retryingFrame(lastError);
    if (!this.#caller.write(frame)) this.#stalled.blocked();
  }

  #block(attempt: LiveAttempt): void {
    this.#attempts.pause(attempt);
    // The write itself may have ended the call.
    if (this.#state.kind !== "ended") this.#stalled.blocked();
  }

  #hold(attempt: LiveAttempt, bytes: Uint8Array): void {
    if (attempt.messages <= 1) {
      attempt.held.push(bytes);
      return;
    }
    // Holding on would let a broken node fill the memory.
    attempt.wire?.cancel();
    this.#onEnd(attempt, { kind: "broken", error: notOneMessage(attempt.messages) });
  }

  #commit(attempt: LiveAttempt): void {
    this.#attempts.commit(attempt);
    this.#clock.markFirstToken();
    this.#state = { kind: "committed" };
    // No other node will need it any more.
    this.#request.body.release();
  }

  /** Tries another node beside it, if one can begin at once; whichever shows a token first has the call. */
  #onHung(attempt: LiveAttempt, hang: Hang): void {
    const second = pickSecond(this.#choiceRequest(), this.#attempts, this.#parts);
    if (second === undefined) return;
    const nodes = { node: attempt.node.name, secondNode: second.node.name };
    const afterMs = Math.round(this.#clock.times().totalMs);
    const line = { call: this.#request.id, ...nodes, hang, afterMs };
    this.#parts.log.info(line, "attempt hangs, trying another node beside it");
    attempt.trace.attemptHung(hang);
    this.#attempts.begin(second.node, second.lease);
  }

  #onEnd(attempt: LiveAttempt, end: AttemptEnd): void {
    const wasCommitted = this.#state.kind === "committed";
    const outcome = outcomeOf(end, attempt, this.#request);
    const { failure, trailers } = outcome;
    this.#attempts.close(attempt, outcome);
    if (failure === undefined) return this.#succeed(attempt, trailers);
    if (wasCommitted) return this.#fail(brokenAfterCommit(failure, attempt.outputs), trailers);
    this.#failed.add(attempt.node, failure, this.#parts.clock.nowMs());
    const { poison } = this.#failed;
    if (poison !== undefined) return this.#fail(poison, trailers);
    // The other one may still answer, unless this is what every node would say (gRFC A6: a fatal status ends all hedges).
    if (this.#attempts.count > 0 && failure.ending.elsewhere !== "never") return;
    this.#retryOrFail(failure, trailers);
  }

  #succeed(attempt: LiveAttempt, trailers: Metadata): void {
    if (this.#request.isUnary) {
      this.#clock.markFirstToken();
      for (const bytes of attempt.held) this.#caller.write(bytes);
    }
    this.#finish(undefined, trailers, true);
  }

  #retryOrFail(failure: DroverError, trailers: Metadata): void {
    // A node knows only its own attempt.
    if (failure.kind === "deadline_exceeded") return this.#fail(this.#late(failure), trailers);
    // Without a node to try there is nothing to spend budget or time on.
    if (!this.#failed.isLastFree && !hasNodeToTry(this.#choiceRequest())) return this.#fail(failure, trailers);
    const isPinned = this.#request.profile.node !== undefined;
    const made = { attempts: this.#attempts.made, timeLeftMs: this.#clock.left().callMs };
    const decision = decideRetry(
      { error: failure, isPinned, chargedRetries: this.#failed.chargedBefore, ...made },
      this.#parts,
    );
    if (decision.kind === "give-up") return this.#fail(failure, trailers);
    const line = { call: this.#request.id, ...describeFailure(failure) };
    this.#parts.log.debug(line, "attempt failed, trying another node");
    if (decision.kind === "at-once") return this.#place();
    this.#backOff(decision.afterMs);
  }

  /** Looks again `afterMs` from now, unless the deadline or the caller's patience ends before. `modelKey`: see CallWait. */
  #backOff(afterMs: number, modelKey?: string): void {
    if (this.#parts.isStopping()) return this.#failStopping();
    const { callMs, waitMs } = this.#clock.left();
    const { lastError } = this.#failed;
    if (lastError !== undefined && afterMs >= Math.min(callMs, waitMs)) return this.#fail(lastError);
    this.#wait.pause(afterMs, modelKey);
    this.#state = { kind: "waiting" };
    this.#progress.begin();
  }

  #fail(error: DroverError, trailers: Metadata = {}): void {
    this.#finish(error, trailers, true);
  }

  /** The one way out. Afterwards nothing of the call is left anywhere. */
  #finish(failure: DroverError | undefined, agentTrailers: Metadata, isCallerThere: boolean): void {
    if (this.#state.kind === "ended") return;
    this.#wait.leave();
    this.#progress.stop();
    const error = this.#state.kind === "committed" ? failure : withRetryHint(failure);
    this.#state = { kind: "ended" };
    this.#deadline?.cancel();
    this.#stalled.moved();
    this.#attempts.abandonAll();
    this.#request.body.release();
    const { lastNode: node, made: attempts, bytes: answerBytes } = this.#attempts;
    const report = { request: this.#request, error, node, attempts, answerBytes, times: this.#clock.times() };
    this.#parts.onEnd(this, report);
    if (isCallerThere) this.#caller.end({ error, trailers: reportTrailers(report, agentTrailers) });
  }

  #failStopping(): void {
    this.#fail(routerStopping(this.#request.profile.model));
  }

  #passDeadline(): void {
    this.#fail(this.#late(this.#wait.error ?? this.#failed.lastError));
  }

  #late(reason: DroverError | undefined): DroverError {
    const { made: attempts, lastNode: node, lastWords } = this.#attempts;
    const { model } = this.#request.profile;
    return deadlineError({ times: this.#clock.times(), model, attempts, node, reason, lastWords });
  }

  /** Runs a step; an error that no one expected ends this call alone, as INTERNAL with its id. */
  #guarded(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#failUnexpectedly(error);
    }
  }

  #failUnexpectedly(cause: unknown): void {
    this.#parts.log.error({ call: this.#request.id, err: cause }, "a call ended by an error that nobody expected");
    this.#fail(unexpectedFailure(this.#request.id, cause));
  }
}
