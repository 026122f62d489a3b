/**
 * Randomness as the rest of Drover sees it: by constructor and with a seed, so that every run can be repeated.
 * Secrets and ids that must not be guessed come from the operating system instead.
 */
import { randomBytes, randomUUID } from "node:crypto";

export interface Rng {
  /** Uniform in [0, 1). */
  next(): number;
}

export const systemRng: Rng = { next: () => Math.random() };

/** mulberry32 (Tommy Ettinger, public domain): 32 bits of state, good enough for simulation, never for secrets. */
export function seededRng(seed: number): Rng {
  let state = seed >>> 0;
  return {
    next: () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    },
  };
}

/** 128 unguessable bits as 32 hexadecimal digits. */
export function randomSecret(): string {
  return randomBytes(16).toString("hex");
}

/** A random UUID: the id of a node, an incarnation of a process. */
export function randomId(): string {
  return randomUUID();
}
