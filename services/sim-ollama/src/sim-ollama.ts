/**
 * Puts one simulated Ollama together and opens its port. The way in for tests that run it in their own process;
 * main.ts is the way in for people.
 */
import type { AddressInfo } from "node:net";
import { type Clock, seededRng, systemClock } from "@drover/platform";
import { createFaultScript, type Fault } from "./faults.ts";
import { createOllamaServer } from "./http/server.ts";
import { createModelCatalog, type ModelConfig } from "./model-catalog.ts";
import { createRequestLog, type RequestRecord } from "./request-log.ts";
import { Scheduler } from "./scheduling/scheduler.ts";
import type { Simulation } from "./simulation.ts";

export interface SimOllamaOptions {
  /** At least one; a plain name takes all defaults. */
  readonly models: readonly (string | ModelConfig)[];
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Running requests per model; more wait. Default 1, as `OLLAMA_NUM_PARALLEL`. */
  readonly slots?: number;
  /** Tokens per second of each slot. Default 50. */
  readonly speed?: number;
  /** Prompt tokens per second. Default 2,000. */
  readonly prefillSpeed?: number;
  /** How long a model takes to load. Default 0.5. */
  readonly loadSeconds?: number;
  /** `num_ctx` where the caller names none. Default 4,096. */
  readonly context?: number;
  /** Equal seeds write equal text. Default 0. */
  readonly seed?: number;
  /** How long an idle model stays loaded. Default 300. */
  readonly keepAliveSeconds?: number;
  /** Default 3, as `OLLAMA_MAX_LOADED_MODELS` without a GPU. */
  readonly maxLoadedModels?: number;
  /** Requests that wait for loads before the next gets 503. Default 512, as `OLLAMA_MAX_QUEUE`. */
  readonly maxQueue?: number;
  /** Every answer has exactly so many tokens. Default 0: chance decides, some 40. */
  readonly answerTokens?: number;
  /** What `/api/version` says. Default `0.24.0`. */
  readonly version?: string;
  /** Whether a prefill goes on when its caller leaves, as in 0.24.0. Default true. */
  readonly doesPrefillOutliveCancel?: boolean;
  readonly faults?: readonly Fault[];
  /** Default: real time. */
  readonly clock?: Clock;
}

export interface SimOllama {
  /** `host:port`, the real one. */
  readonly address: string;
  /** `http://host:port`. */
  readonly url: string;
  /** Replaces all scripted faults. */
  setFaults(faults: readonly Fault[]): void;
  /** The latest requests, oldest first; at most 1,000. */
  requests(): readonly RequestRecord[];
  clearRequests(): void;
  /** Resets all connections and forgets what is loaded. The port stays open. */
  crash(): void;
  /** Resolves when the port is closed and every connection gone. */
  close(): Promise<void>;
}

/** Rejects with Node's own error when the port cannot be had, and with a RangeError for a bad model name. */
export async function createSimOllama(options: SimOllamaOptions): Promise<SimOllama> {
  const simulation = createSimulation(options, () => {
    simulation.log.failOpen();
    scheduler.forgetAll();
    for (const reset of [...open]) reset();
  });
  const { scheduler } = simulation;
  const server = createOllamaServer(() => simulation);
  const open = trackSockets(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, options.host ?? "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = formatAddress(server.address() as AddressInfo);
  return {
    address,
    url: `http://${address}`,
    setFaults: (faults) => simulation.faults.replace(faults),
    requests: () => simulation.log.list(),
    clearRequests: () => simulation.log.clear(),
    crash: simulation.crash,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        scheduler.forgetAll();
      }),
  };
}

function createSimulation(options: SimOllamaOptions, crash: () => void): Simulation {
  const clock = options.clock ?? systemClock;
  return {
    clock,
    rng: seededRng(options.seed ?? 0),
    catalog: createModelCatalog(options.models.map((model) => (typeof model === "string" ? { name: model } : model))),
    scheduler: new Scheduler({
      clock,
      slots: options.slots ?? 1,
      loadMs: (options.loadSeconds ?? 0.5) * 1000,
      keepAliveMs: (options.keepAliveSeconds ?? 300) * 1000,
      maxLoadedModels: options.maxLoadedModels ?? 3,
      maxQueue: options.maxQueue ?? 512,
    }),
    pace: {
      clock,
      decodeSpeed: options.speed ?? 50,
      prefillSpeed: options.prefillSpeed ?? 2000,
      doesPrefillOutliveCancel: options.doesPrefillOutliveCancel ?? true,
    },
    faults: createFaultScript(options.faults ?? []),
    log: createRequestLog(clock),
    settings: {
      seed: options.seed ?? 0,
      version: options.version ?? "0.24.0",
      context: options.context ?? 4096,
      answerTokens: options.answerTokens ?? 0,
    },
    crash,
  };
}

function trackSockets(server: ReturnType<typeof createOllamaServer>): ReadonlySet<() => void> {
  const open = new Set<() => void>();
  server.on("connection", (socket) => {
    const reset = (): void => void socket.resetAndDestroy();
    open.add(reset);
    socket.once("close", () => open.delete(reset));
  });
  return open;
}

function formatAddress({ address, family, port }: AddressInfo): string {
  return family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`;
}
