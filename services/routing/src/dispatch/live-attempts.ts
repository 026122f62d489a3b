/**
 * The attempts of one call that run now: opens them, follows what they have sent, and stops those that are no longer needed.
 * Each of their leases ends here, exactly once. What an attempt's messages and end mean for the call is decided elsewhere.
 */
import type { Lease } from "../balancing/picker.ts";
import type { NodeView } from "../fleet/node-view.ts";
import type { Verdict } from "../health/health-gate.ts";
import type { AgentTransport, AttemptEnd, FramesSeen } from "../transport/attempt.ts";
import { attemptHeaders } from "./attempt-headers.ts";
import type { CallClock } from "./call-clock.ts";
import type { CallRequest } from "./call-request.ts";
import { abandon, type LiveAttempt, newAttempt } from "./live-attempt.ts";

/** What attempts tell their call; nothing after they were closed or abandoned. */
export interface AttemptEvents {
  readonly onMessages: (attempt: LiveAttempt, bytes: Uint8Array, seen: FramesSeen) => void;
  readonly onEnd: (attempt: LiveAttempt, end: AttemptEnd) => void;
}

export class LiveAttempts {
  readonly #transport: AgentTransport;
  readonly #request: CallRequest;
  readonly #times: CallClock;
  readonly #events: AttemptEvents;
  #live: readonly LiveAttempt[] = [];
  #made = 0;
  #lastNode: NodeView | undefined;

  constructor(transport: AgentTransport, request: CallRequest, times: CallClock, events: AttemptEvents) {
    this.#transport = transport;
    this.#request = request;
    this.#times = times;
    this.#events = events;
  }

  /** How many were begun so far. */
  get made(): number {
    return this.#made;
  }

  /** The node of the one that was begun last. */
  get lastNode(): NodeView | undefined {
    return this.#lastNode;
  }

  get count(): number {
    return this.#live.length;
  }

  begin(node: NodeView, lease: Lease): void {
    const attempt = newAttempt(++this.#made, node, lease);
    this.#lastNode = node;
    this.#live = [...this.#live, attempt];
    const { path, body } = this.#request;
    const headers = attemptHeaders(this.#request, attempt, this.#times.left());
    attempt.wire = this.#transport.open(
      { endpoint: node.endpoint, path, headers, body: body.bytes },
      {
        onMessages: (bytes, seen) => {
          attempt.messages = seen.messages;
          attempt.outputs = seen.outputs;
          attempt.hasDone = seen.hasDone;
          this.#events.onMessages(attempt, bytes, seen);
        },
        onEnd: (end) => this.#events.onEnd(attempt, end),
      },
    );
  }

  /** It has ended by itself. */
  close(attempt: LiveAttempt, verdict: Verdict): void {
    attempt.lease.end(verdict);
    this.#live = this.#live.filter((other) => other !== attempt);
  }

  /** Stops all but this one. */
  keepOnly(attempt: LiveAttempt): void {
    for (const other of this.#live) if (other !== attempt) abandon(other);
    this.#live = [attempt];
  }

  abandonAll(): void {
    const live = this.#live;
    this.#live = [];
    for (const attempt of live) abandon(attempt);
  }

  resume(): void {
    for (const attempt of this.#live) attempt.wire?.resume();
  }
}
