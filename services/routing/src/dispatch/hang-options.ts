/**
 * The numbers that tell a node that hangs from one that loads or reads a long prompt: their meaning, defaults and sources.
 * What is done about it has the shape of gRPC's hedging (gRFC A6), but only for calls that have shown nothing for too long.
 */

export interface HangOptions {
  /** How soon an agent must have said something of a call, in ms. It speaks after 2 s (proto: Progress). */
  readonly firstWordMs: number;
  /** How soon it must say something again, in ms. It speaks at least every 10 s. */
  readonly nextWordMs: number;
  /** How long a slot may show nothing in any case, in ms. */
  readonly quietSlotMs: number;
  /** How many times the time that the agent expects for the prompt it may take, and how many ms on top. */
  readonly prefillFactor: number;
  readonly prefillSlackMs: number;
  /** Second attempts for each call, 0..1, and on top of that per minute whatever the traffic. */
  readonly budgetRatio: number;
  readonly budgetReserve: number;
}

export const HANG_DEFAULTS: HangOptions = {
  firstWordMs: 5_000,
  nextWordMs: 15_000,
  quietSlotMs: 5_000,
  prefillFactor: 3,
  prefillSlackMs: 2_000,
  // 2 % more requests took most of the tail away in "The Tail at Scale" (Dean and Barroso, 2013); 10 let a quiet router do it.
  budgetRatio: 0.02,
  budgetReserve: 10,
};
