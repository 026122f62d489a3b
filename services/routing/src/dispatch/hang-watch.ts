/**
 * Watches one attempt before its commit and tells when it hangs: its agent is silent, says nothing of the call, or the slot
 * shows nothing for much longer than its prompt should take. A load or a queue that the agent keeps telling of never hangs.
 * What is done about it is decided elsewhere.
 */
import type { Clock, Timer } from "@drover/platform";
import type { HangOptions } from "./hang-options.ts";

/** What is known of an attempt's work at the node. */
export type WorkSign =
  /** It waits for a slot or a load. */
  | { readonly kind: "waits" }
  /** It has a slot, since `elapsedMs`, and its prompt is expected to take `expectedMs` from then on. */
  | { readonly kind: "reads"; readonly elapsedMs: number; readonly expectedMs: number };

export type Hang = "agent-silent" | "nothing-said" | "slot-quiet";

/** What a watch asks and tells. */
export interface WatchEvents {
  /** Whether nothing comes from the node's agent at all. */
  readonly isAgentSilent: () => boolean;
  /** For calls of which the agent cannot speak: what the node's status says, after a pause of this process from then on. */
  readonly look?: (wasPaused: boolean) => WorkSign;
  /** The attempt hangs; told again and again while it does. */
  readonly onHung: (hang: Hang) => void;
}

const CHECK_MS = 1_000;
/** A check that comes this late was held up by a pause of this process: agents are not to blame for what it did not hear. */
const PAUSED_MS = 4 * CHECK_MS;
/** A slow link is no hang: what the request takes at 1 MiB/s before the agent can know of it. */
const UPLOAD_BYTES_PER_MS = 1_048;

export class HangWatch {
  readonly #clock: Clock;
  readonly #options: HangOptions;
  readonly #events: WatchEvents;
  /** When the agent must have said something, and when the slot must have shown something. */
  #sayByMs: number;
  #showByMs = Number.POSITIVE_INFINITY;
  #checkedMs: number;
  #wasSilent = false;
  #timer: Timer | undefined;

  constructor(clock: Clock, options: HangOptions, bodyBytes: number, events: WatchEvents) {
    this.#clock = clock;
    this.#options = options;
    this.#events = events;
    this.#checkedMs = clock.nowMs();
    this.#sayByMs = this.#checkedMs + options.firstWordMs + Math.floor(bodyBytes / UPLOAD_BYTES_PER_MS);
    const sign = events.look?.(false);
    if (sign === undefined) this.#arm();
    else this.heard(sign);
  }

  /** The agent said what the attempt does. */
  heard(sign: WorkSign): void {
    const { nextWordMs, quietSlotMs, prefillFactor, prefillSlackMs } = this.#options;
    const nowMs = this.#clock.nowMs();
    this.#sayByMs = nowMs + nextWordMs;
    if (sign.kind === "waits") this.#showByMs = Number.POSITIVE_INFINITY;
    else {
      const quietMs = Math.max(quietSlotMs, prefillFactor * sign.expectedMs + prefillSlackMs);
      this.#showByMs = nowMs - sign.elapsedMs + quietMs;
    }
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(): void {
    this.#timer?.cancel();
    const leftMs = Math.min(this.#sayByMs, this.#showByMs) - this.#clock.nowMs();
    const delayMs = leftMs > 0 ? Math.min(leftMs, CHECK_MS) : CHECK_MS;
    this.#timer = this.#clock.after(delayMs, () => this.#check());
  }

  #check(): void {
    this.#timer = undefined;
    const nowMs = this.#clock.nowMs();
    const wasPaused = nowMs - this.#checkedMs > PAUSED_MS;
    this.#checkedMs = nowMs;
    const sign = this.#events.look?.(wasPaused);
    if (sign !== undefined) this.heard(sign);
    else if (wasPaused) this.#excuse(nowMs);
    this.#arm();
    const hang = this.#hang(nowMs);
    if (hang !== undefined) this.#events.onHung(hang);
  }

  #excuse(nowMs: number): void {
    const { firstWordMs } = this.#options;
    this.#sayByMs = Math.max(this.#sayByMs, nowMs + firstWordMs);
    this.#showByMs = Math.max(this.#showByMs, nowMs + firstWordMs);
  }

  #hang(nowMs: number): Hang | undefined {
    const wasSilent = this.#wasSilent;
    this.#wasSilent = this.#events.isAgentSilent();
    // Twice in a row, because a stream to an agent may break and be back at once.
    if (wasSilent && this.#wasSilent) return "agent-silent";
    if (nowMs >= this.#showByMs) return "slot-quiet";
    return nowMs >= this.#sayByMs ? "nothing-said" : undefined;
  }
}
