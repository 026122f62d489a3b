/**
 * An attempt that runs: what a call holds of it until it ends or is given up.
 */
import type { Lease } from "../balancing/picker.ts";
import type { NodeView } from "../fleet/node-view.ts";
import type { Attempt } from "../transport/attempt.ts";
import type { AttemptTrace } from "./call-observer.ts";
import type { HangWatch } from "./hang-watch.ts";
import type { LastWord } from "./last-word.ts";

export interface LiveAttempt {
  /** 1 for the first of its call. */
  readonly number: number;
  readonly node: NodeView;
  readonly lease: Lease;
  readonly trace: AttemptTrace;
  /** Set in the turn in which the attempt begins. */
  wire: Attempt | undefined;
  /** Runs until the commit or the end. */
  watch: HangWatch | undefined;
  /** What its agent said of its work before the first token. */
  lastWord: LastWord | undefined;
  /** Whether health was told that it hangs. */
  hasHung: boolean;
  /** What a unary call has answered so far: at most one message, a second one ends the attempt. */
  readonly held: Uint8Array[];
  /** As FramesSeen, up to the last piece. */
  messages: number;
  outputs: number;
  hasDone: boolean;
}

export function newAttempt(begun: Pick<LiveAttempt, "number" | "node" | "lease" | "trace">): LiveAttempt {
  return {
    ...begun,
    wire: undefined,
    watch: undefined,
    lastWord: undefined,
    hasHung: false,
    held: [],
    messages: 0,
    outputs: 0,
    hasDone: false,
  };
}

/** Stops an attempt that still runs. What had output did its part; of what had none nothing is known. */
export function abandon(attempt: LiveAttempt): void {
  attempt.watch?.stop();
  attempt.wire?.cancel();
  attempt.lease.end(attempt.outputs > 0 ? "success" : "neutral");
  attempt.trace.attemptEnded("lost", {});
}
