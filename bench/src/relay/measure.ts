/**
 * What streams cost the programs that relay them: all targets in one run and in turns, CPU from the system's own count.
 */
import { median, quantile } from "../figure.ts";
import { cpuMs, type Program } from "../processes.ts";
import { type Load, runLoad } from "./load.ts";

const ROUNDS = 5;
export const PACED = { streams: 600, atOnce: 200, chunks: 50, paceMs: 20 };
export const SHORT = { streams: 4_000, atOnce: 50, chunks: 1, paceMs: 0 };

interface Sample {
  readonly cpuUsPerStream: number;
  readonly firstBytesMs: readonly number[];
  readonly streamsPerSecond: number;
}

export type Samples = Map<string, Sample[]>;

export async function measure(
  targets: ReadonlyMap<string, Program>,
  load: Omit<Load, "address">,
  rounds = ROUNDS,
): Promise<Samples> {
  const samples: Samples = new Map([...targets.keys()].map((name) => [name, []]));
  for (let round = -1; round < rounds; round++) {
    for (const [name, program] of targets) {
      const before = cpuMs(program.pid);
      const result = await runLoad({ address: program.address, ...load });
      if (result.failed > 0) throw new Error(`${result.failed} streams through ${name} failed`);
      const sample = {
        cpuUsPerStream: ((cpuMs(program.pid) - before) * 1_000) / load.streams,
        firstBytesMs: result.firstBytesMs,
        streamsPerSecond: load.streams / (result.wallMs / 1_000),
      };
      // The first round warms up compilers and connections.
      if (round >= 0) samples.get(name)?.push(sample);
    }
  }
  return samples;
}

/** CPU per stream in us. */
export function cpuOf(samples: Samples, name: string): number {
  return median((samples.get(name) ?? []).map((sample) => sample.cpuUsPerStream));
}

/** Time to the first bytes in ms, below which `share` of the streams lie. */
export function timeOf(samples: Samples, name: string, share: number): number {
  return median((samples.get(name) ?? []).map((sample) => quantile(sample.firstBytesMs, share)));
}
