/** OpenTelemetry as programs run it, with every span and measurement written down: for tests. Once per process. */
import { systemClock } from "../clock.ts";
import { type Attributes, startTelemetry, type Telemetry, type TelemetryOptions } from "../telemetry/telemetry.ts";

type Processor = NonNullable<TelemetryOptions["spanProcessors"]>[number];
export type EndedSpan = Parameters<Processor["onEnd"]>[0];

export interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly attributes: Attributes;
}

export interface RecordingTelemetry {
  readonly telemetry: Telemetry;
  /** How many spans have begun. */
  begun(): number;
  /** In the order in which they ended. */
  readonly ended: EndedSpan[];
  /** Of histograms and counters. */
  readonly measured: Measurement[];
  /** What gauges show now. */
  observed(name: string): Measurement[];
  /** Forgets what was written down. */
  clear(): void;
}

export function startRecordingTelemetry(): RecordingTelemetry {
  let begun = 0;
  const ended: EndedSpan[] = [];
  const measured: Measurement[] = [];
  const gauges = new Map<string, Parameters<Telemetry["observe"]>[1]>();
  const processor: Processor = {
    onStart: () => {
      begun++;
    },
    onEnd: (span) => void ended.push(span),
    forceFlush: async () => undefined,
    shutdown: async () => undefined,
  };
  const real = startTelemetry({
    service: "test",
    version: "0",
    env: {},
    clock: systemClock,
    spanProcessors: [processor],
  });
  const note = (name: string, value: number, attributes: Attributes): void =>
    void measured.push({ name, value, attributes });
  return {
    telemetry: { ...real, record: note, add: note, observe: (name, read) => void gauges.set(name, read) },
    begun: () => begun,
    ended,
    measured,
    observed: (name) => {
      const values: Measurement[] = [];
      gauges.get(name)?.((value, attributes) => void values.push({ name, value, attributes }));
      return values;
    },
    clear: () => {
      begun = 0;
      ended.length = 0;
      measured.length = 0;
    },
  };
}
