/**
 * Rounds of one case, each beside a bare disconnect in the same moment, and the figures made of them.
 */
import { type Figure, quantile } from "../figure.ts";
import type { BareChain } from "./bare-chain.ts";

const GOAL_MS = 20;

/** In ms; undefined when the call was not where it should have been left, so that the round says nothing. */
export type Round = (index: number) => Promise<number | undefined>;

/** Rounds may be lost to a machine that is busy, but not most of them. */
const TRIES_FACTOR = 2;

export async function figuresOf(
  name: string,
  rounds: number,
  bare: BareChain,
  round: Round,
): Promise<readonly Figure[]> {
  const times: number[] = [];
  const bareTimes: number[] = [];
  // The first round warms up.
  for (let index = 0; times.length <= rounds; index++) {
    if (index > rounds * TRIES_FACTOR) throw new Error(`${name}: too few calls were left where they should be`);
    bareTimes.push(await bare.measure());
    const ms = await round(index);
    if (ms !== undefined) times.push(ms);
  }
  return [0.5, 0.99].map((share) => {
    const value = quantile(times.slice(1), share);
    const goal = share === 0.5 ? {} : { goal: `<= ${GOAL_MS} ms`, ok: value <= GOAL_MS };
    const baseline = quantile(bareTimes.slice(1), share);
    return { name: `${name}, ${share === 0.5 ? "p50" : "p99"}`, value, unit: "ms", baseline, ...goal };
  });
}
