/**
 * Metrics and traces of a program: starts OpenTelemetry's SDK, offers the instruments of the table by their names, and answers
 * /metrics. What is measured, and when, is with those who measure. Nothing here is called per token.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type Attributes,
  type Counter,
  type Histogram,
  type Meter,
  metrics,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { NodeSDK, type NodeSDKConfiguration } from "@opentelemetry/sdk-node";
import type { Clock } from "../clock.ts";
import { sleep } from "../clock.ts";
import type { Env } from "../config/define.ts";
import {
  type CounterName,
  type GaugeName,
  type HistogramName,
  INSTRUMENTS,
  type InstrumentDescription,
} from "./instruments.table.ts";

export type { Attributes } from "@opentelemetry/api";

export interface Telemetry {
  /** Undefined where nobody takes traces: then no span is made, and the caller's context passes as it came. */
  readonly tracer: Tracer | undefined;
  /** Durations in seconds. */
  record(name: HistogramName, value: number, attributes: Attributes): void;
  add(name: CounterName, value: number, attributes: Attributes): void;
  /** `read` runs at each scrape and tells every value that there is then. */
  observe(name: GaugeName, read: (tell: (value: number, attributes: Attributes) => void) => void): void;
  /** Answers GET /metrics. */
  readonly answerMetrics: (request: IncomingMessage, response: ServerResponse) => void;
  /** Sends what is left; never longer than 2 s, never fails. */
  shutdown(): Promise<void>;
}

export interface TelemetryOptions {
  /** `drover-router`; OTEL_SERVICE_NAME wins. */
  readonly service: string;
  readonly version: string;
  readonly env: Env;
  readonly clock: Clock;
  /** Takes the spans in place of whom the variables name: for tests. */
  readonly spanProcessors?: NodeSDKConfiguration["spanProcessors"];
}

const SHUTDOWN_LIMIT_MS = 2_000;

/** Once per process: OpenTelemetry's API is a global of its own. */
export function startTelemetry({ service, version, env, clock, ...options }: TelemetryOptions): Telemetry {
  const prometheus = new PrometheusExporter({ preventServerStart: true, withoutScopeInfo: true });
  const { spanProcessors } = options;
  const isTracing = spanProcessors !== undefined || wantsTraces(env);
  const sdk = new NodeSDK({
    serviceName: env["OTEL_SERVICE_NAME"] || service,
    autoDetectResources: false,
    instrumentations: [],
    logRecordProcessors: [],
    metricReaders: [prometheus],
    // Without processors of ours the SDK reads OTEL_* and would send to localhost by default.
    ...(isTracing && spanProcessors === undefined ? {} : { spanProcessors: spanProcessors ?? [] }),
  });
  sdk.start();
  const instruments = new Instruments(metrics.getMeter("drover", version));
  return {
    tracer: isTracing ? trace.getTracer("drover", version) : undefined,
    record: (name, value, attributes) => instruments.histogram(name).record(value, attributes),
    add: (name, value, attributes) => instruments.counter(name).add(value, attributes),
    observe: (name, read) => instruments.observe(name, read),
    answerMetrics: (request, response) => prometheus.getMetricsRequestHandler(request, response),
    shutdown: () => shutdown(sdk, clock),
  };
}

/** The standard variables (opentelemetry.io, "OTLP Exporter Configuration"); nothing is sent anywhere without one of them. */
function wantsTraces(env: Env): boolean {
  if (/^true$/i.test(env["OTEL_SDK_DISABLED"] ?? "")) return false;
  const exporter = env["OTEL_TRACES_EXPORTER"];
  if (exporter !== undefined && exporter !== "") return exporter !== "none";
  return Boolean(env["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] || env["OTEL_EXPORTER_OTLP_ENDPOINT"]);
}

/** A collector that is away must not hold the end of a program. */
async function shutdown(sdk: NodeSDK, clock: Clock): Promise<void> {
  const done = new AbortController();
  await Promise.race([sdk.shutdown().catch(() => undefined), sleep(clock, SHUTDOWN_LIMIT_MS, done.signal)]);
  done.abort();
}

/** Made when first used: what never happened in this program does not stand in its metrics. */
class Instruments {
  readonly #meter: Meter;
  readonly #histograms = new Map<HistogramName, Histogram>();
  readonly #counters = new Map<CounterName, Counter>();

  constructor(meter: Meter) {
    this.#meter = meter;
  }

  histogram(name: HistogramName): Histogram {
    let histogram = this.#histograms.get(name);
    if (histogram === undefined) {
      const described: InstrumentDescription = INSTRUMENTS[name];
      histogram = this.#meter.createHistogram(described.name, {
        ...wordsOf(described),
        advice: { explicitBucketBoundaries: [...(described.buckets ?? [])] },
      });
      this.#histograms.set(name, histogram);
    }
    return histogram;
  }

  counter(name: CounterName): Counter {
    let counter = this.#counters.get(name);
    if (counter === undefined) {
      counter = this.#meter.createCounter(INSTRUMENTS[name].name, wordsOf(INSTRUMENTS[name]));
      this.#counters.set(name, counter);
    }
    return counter;
  }

  observe(name: GaugeName, read: Parameters<Telemetry["observe"]>[1]): void {
    const gauge = this.#meter.createObservableGauge(INSTRUMENTS[name].name, wordsOf(INSTRUMENTS[name]));
    gauge.addCallback((result) => read((value, attributes) => result.observe(value, attributes)));
  }
}

function wordsOf({ unit, description }: InstrumentDescription): { unit: string; description: string } {
  return { unit, description };
}

/** For parts that are used without a program around them. */
export const noTelemetry: Telemetry = {
  tracer: undefined,
  record: () => undefined,
  add: () => undefined,
  observe: () => undefined,
  answerMetrics: (_, response) => void response.writeHead(404).end(),
  shutdown: async () => undefined,
};
