/**
 * The attempts of one call that run now: opens them, follows what they have sent, and stops those that are no longer needed.
 * Each of their leases ends here, exactly once. What an attempt's messages and end mean for the call is decided elsewhere.
 */
import type { Clock } from "@drover/platform";
import type { Lease } from "../balancing/picker.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { NodeView } from "../fleet/node-view.ts";
import type { AgentTransport, AttemptEnd, FramesSeen } from "../transport/attempt.ts";
import { attemptHeaders } from "./attempt-headers.ts";
import type { Outcome } from "./attempt-outcome.ts";
import type { CallClock } from "./call-clock.ts";
import type { CallTrace } from "./call-observer.ts";
import type { CallRequest } from "./call-request.ts";
import type { HangOptions } from "./hang-options.ts";
import { type Hang, HangWatch, type WatchEvents } from "./hang-watch.ts";
import { wordOf } from "./last-word.ts";
import { abandon, type LiveAttempt, newAttempt } from "./live-attempt.ts";
import { lastProgress, StatusSigns, signOf } from "./work-signs.ts";

export interface LiveAttemptsParts {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly transport: AgentTransport;
  readonly hang: HangOptions;
  readonly trace: CallTrace;
}

/** What attempts tell their call; nothing after they were closed or abandoned. */
export interface AttemptEvents {
  readonly onMessages: (attempt: LiveAttempt, bytes: Uint8Array, seen: FramesSeen) => void;
  readonly onEnd: (attempt: LiveAttempt, end: AttemptEnd) => void;
  /** It hangs; told again and again while it does. */
  readonly onHung: (attempt: LiveAttempt, hang: Hang) => void;
}

export class LiveAttempts {
  readonly #parts: LiveAttemptsParts;
  readonly #request: CallRequest;
  readonly #times: CallClock;
  readonly #events: AttemptEvents;
  #live: readonly LiveAttempt[] = [];
  #made = 0;
  #bytes = 0;
  #lastNode: NodeView | undefined;

  constructor(parts: LiveAttemptsParts, request: CallRequest, times: CallClock, events: AttemptEvents) {
    this.#parts = parts;
    this.#request = request;
    this.#times = times;
    this.#events = events;
  }

  /** Of all messages that they have sent, prefixes included. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many were begun so far. */
  get made(): number {
    return this.#made;
  }

  /** Of the one that was begun last, and in the end of the one that answered. */
  get lastNode(): NodeView | undefined {
    return this.#lastNode;
  }

  get count(): number {
    return this.#live.length;
  }

  /** What the agents of those that run said last of their work, for people. */
  get lastWords(): readonly string[] {
    const nowMs = this.#parts.clock.nowMs();
    return this.#live.map(({ node, lastWord }) => (lastWord === undefined ? "" : wordOf(node.name, lastWord, nowMs)));
  }

  /** Where they run. */
  get nodeIds(): readonly string[] {
    return this.#live.map(({ node }) => node.id);
  }

  begin(node: NodeView, lease: Lease): void {
    const number = ++this.#made;
    const trace = this.#parts.trace.attemptBegan(number, node);
    const attempt = newAttempt({ number, node, lease, trace });
    this.#lastNode = node;
    this.#live = [...this.#live, attempt];
    const { path, body } = this.#request;
    const headers = attemptHeaders(this.#request, attempt, this.#times.left());
    attempt.watch = new HangWatch(this.#parts.clock, this.#parts.hang, body.bytes.length, this.#watchEvents(attempt));
    attempt.wire = this.#parts.transport.open(
      { endpoint: node.endpoint, path, headers, body: body.bytes },
      {
        onMessages: (bytes, seen) => {
          this.#bytes += bytes.length;
          attempt.messages = seen.messages;
          attempt.outputs = seen.outputs;
          attempt.hasDone = seen.hasDone;
          if (seen.outputs === 0 && !this.#request.isUnary) this.#hear(attempt, bytes);
          this.#events.onMessages(attempt, bytes, seen);
        },
        onEnd: (end) => this.#events.onEnd(attempt, end),
      },
    );
  }

  /** Its agent's progress: the only messages that are ever looked into. */
  #hear(attempt: LiveAttempt, bytes: Uint8Array): void {
    const progress = lastProgress(bytes);
    if (progress === undefined) return;
    attempt.lastWord = { progress, heardAtMs: this.#parts.clock.nowMs() };
    attempt.watch?.heard(signOf(progress));
  }

  /** It has ended by itself. */
  close(attempt: LiveAttempt, { failure, verdict, trailers }: Outcome): void {
    attempt.watch?.stop();
    attempt.lease.end(verdict);
    attempt.trace.attemptEnded(failure ?? "ok", trailers);
    this.#lastNode = attempt.node;
    this.#live = this.#live.filter((other) => other !== attempt);
  }

  /** Its first token came: stops all others, and it is no longer watched. */
  commit(attempt: LiveAttempt): void {
    const others = this.#live.filter((other) => other !== attempt);
    this.#live = [attempt];
    this.#lastNode = attempt.node;
    attempt.watch?.stop();
    attempt.watch = undefined;
    attempt.lease.shows("alive");
    for (const other of others) abandon(other);
  }

  abandonAll(): void {
    const live = this.#live;
    this.#live = [];
    for (const attempt of live) abandon(attempt);
  }

  #watchEvents(attempt: LiveAttempt): WatchEvents {
    const { clock, fleet } = this.#parts;
    const { isUnary, profile, body } = this.#request;
    const nodeNow = (): NodeView | undefined => fleet.snapshot.byId.get(attempt.node.id);
    const status = new StatusSigns(profile.modelKey, body.bytes.length);
    return {
      isAgentSilent: () => nodeNow()?.availability === "unreachable",
      ...(isUnary ? { look: (wasPaused: boolean) => status.look(nodeNow(), clock.nowMs(), wasPaused) } : {}),
      onHung: (hang) => {
        this.#blame(attempt, hang);
        this.#events.onHung(attempt, hang);
      },
    };
  }

  /** Of a node whose agent is silent the fleet knows; only what an agent hides is news. */
  #blame(attempt: LiveAttempt, hang: Hang): void {
    if (attempt.hasHung || hang === "agent-silent") return;
    attempt.hasHung = true;
    attempt.lease.shows("hung");
  }

  /** The caller does not read: nothing is read of the attempt either, so it cannot be judged. */
  pause(attempt: LiveAttempt): void {
    attempt.wire?.pause();
    attempt.watch?.stop();
  }

  resume(): void {
    for (const attempt of this.#live) {
      attempt.wire?.resume();
      attempt.watch?.heard({ kind: "waits" });
    }
  }
}
