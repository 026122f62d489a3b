import { type Logger, seededRng, silentLogger } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { PausableClock } from "../testing/pausable-clock.ts";
import { SilenceWatch } from "./silence-watch.ts";

/** Agents that speak once a second, each at its own moment, until they are cut off. */
class Agents {
  readonly clock = new PausableClock();
  readonly silent: { readonly who: number; readonly atMs: number }[] = [];
  readonly lines: string[] = [];
  readonly watch: SilenceWatch<number>;
  readonly #heardMs: number[];
  readonly #cut = new Set<number>();

  constructor(phasesMs: readonly number[]) {
    const { clock } = this;
    this.#heardMs = phasesMs.map(() => clock.nowMs());
    const log: Logger = {
      ...silentLogger,
      warn: (_fields: object | string, text?: string) => void this.lines.push(text ?? ""),
      info: (_fields: object | string, text?: string) => void this.lines.push(text ?? ""),
    };
    this.watch = new SilenceWatch<number>({
      clock,
      log,
      talking: () => this.#heardMs.map((heardMs, who) => ({ who, heardMs })).filter(({ who }) => !this.#isSilent(who)),
      onSilent: (who) => void this.silent.push({ who, atMs: clock.nowMs() }),
    });
    for (const [who, phaseMs] of phasesMs.entries()) clock.after(phaseMs, () => this.#speak(who));
  }

  cut(...agents: readonly number[]): void {
    for (const who of agents) this.#cut.add(who);
  }

  restore(): void {
    this.#cut.clear();
  }

  #speak(who: number): void {
    if (!this.#cut.has(who)) this.#heardMs[who] = this.clock.nowMs();
    this.clock.after(1_000, () => this.#speak(who));
  }

  #isSilent(who: number): boolean {
    return this.silent.some((each) => each.who === who);
  }
}

const phases = (count: number, seed: number): number[] => {
  const rng = seededRng(seed);
  return Array.from({ length: count }, () => Math.floor(rng.next() * 1_000));
};
const all = (count: number): number[] => Array.from({ length: count }, (_, who) => who);
const SEEDS = all(200);

describe("SilenceWatch", () => {
  it("tells of each agent that said nothing for 3 s, and of no other", () => {
    const agents = new Agents([100, 300, 500, 700]);
    agents.clock.advance(10_000);
    expect(agents.silent).toEqual([]);
    agents.cut(2);
    agents.clock.advance(10_000);
    expect(agents.silent).toEqual([{ who: 2, atMs: 12_500 }]);
    expect(agents.lines).toEqual([]);
  });

  it("tells of an agent that is the only one", () => {
    const agents = new Agents([0]);
    agents.clock.advance(10_000);
    agents.cut(0);
    agents.clock.advance(4_000);
    expect(agents.silent.length).toBe(1);
  });

  it("gives up none when more than half fall silent together, whenever each spoke last", () => {
    for (const seed of SEEDS) {
      const count = 2 + (seed % 9);
      const agents = new Agents(phases(count, seed));
      agents.clock.advance(10_000 + seed * 37);
      agents.cut(...all(Math.floor(count / 2) + 1));
      agents.clock.advance(9_000);
      expect(agents.silent, `seed ${seed}`).toEqual([]);
      expect(agents.lines.length, `seed ${seed}`).toBe(1);
      agents.restore();
      agents.clock.advance(3_000);
      expect(agents.lines.length, `seed ${seed}`).toBe(2);
      agents.clock.advance(10_000);
      expect(agents.silent, `seed ${seed}`).toEqual([]);
    }
  });

  it("gives up each of those that fall silent together when they are half or fewer, within 3.25 s", () => {
    for (const seed of SEEDS) {
      const count = 2 + (seed % 9);
      const agents = new Agents(phases(count, seed));
      agents.clock.advance(10_000 + seed * 37);
      const cut = all(Math.floor(count / 2));
      const cutMs = agents.clock.nowMs();
      agents.cut(...cut);
      agents.clock.advance(9_000);
      expect(agents.silent.map(({ who }) => who).sort(), `seed ${seed}`).toEqual(cut);
      for (const { atMs } of agents.silent) expect(atMs - cutMs, `seed ${seed}`).toBeLessThanOrEqual(3_250);
      expect(agents.lines, `seed ${seed}`).toEqual([]);
    }
  });

  it("gives up most of the fleet when they fall silent one after the other", () => {
    const agents = new Agents([0, 200, 400, 600, 800]);
    agents.clock.advance(10_000);
    for (const who of [0, 1, 2]) {
      agents.cut(who);
      agents.clock.advance(4_000);
    }
    expect(agents.silent.map(({ who }) => who)).toEqual([0, 1, 2]);
  });

  it("gives up who stays silent once most of the others speak again", () => {
    const agents = new Agents([0, 250, 500, 750]);
    agents.clock.advance(10_000);
    agents.cut(0, 1, 2);
    agents.clock.advance(5_000);
    expect(agents.silent).toEqual([]);
    agents.restore();
    agents.cut(0);
    agents.clock.advance(2_500);
    expect(agents.silent.map(({ who }) => who)).toEqual([0]);
  });

  it("holds no pause of its own against anyone, however long", () => {
    for (const seed of SEEDS) {
      const agents = new Agents(phases(1 + (seed % 5), seed));
      const rng = seededRng(seed);
      agents.clock.advance(5_000 + Math.floor(rng.next() * 5_000));
      agents.clock.pause(1_100 + Math.floor(rng.next() * 60_000));
      agents.clock.advance(10_000);
      expect(agents.silent, `seed ${seed}`).toEqual([]);
    }
  });

  it("holds nothing against anyone for 3 s after its own pause, and then does", () => {
    const agents = new Agents([0, 250, 500, 750]);
    agents.clock.advance(10_000);
    agents.cut(0);
    agents.clock.pause(60_000);
    agents.clock.advance(250);
    const resumedMs = agents.clock.nowMs();
    agents.clock.advance(10_000);
    expect(agents.silent.map(({ who }) => who)).toEqual([0]);
    expect(agents.silent[0]?.atMs).toBeGreaterThanOrEqual(resumedMs + 2_750);
    expect(agents.silent[0]?.atMs).toBeLessThanOrEqual(resumedMs + 3_250);
  });

  it("does not take a busy moment for a pause", () => {
    const agents = new Agents([0, 250, 500, 750]);
    agents.clock.advance(10_000);
    agents.cut(0);
    agents.clock.advance(2_000);
    agents.clock.pause(700);
    agents.clock.advance(1_000);
    expect(agents.silent.map(({ who }) => who)).toEqual([0]);
  });

  it("leaves no timer when it is stopped", () => {
    const clock = new PausableClock();
    const watch = new SilenceWatch({ clock, log: silentLogger, talking: () => [], onSilent: () => undefined });
    clock.advance(5_000);
    watch.stop();
    expect(clock.pendingCount).toBe(0);
  });
});
