/**
 * Whether Ollama answers, by HEAD / once a second: the only probe that takes no lock in Ollama. It says so when that changes;
 * what lies on the disk or in memory is read by others.
 */
import { type Clock, type Logger, sleep } from "@drover/platform";
import { probeOllama, readVersion } from "../ollama/ollama-api.ts";
import { type OllamaAsker, type OllamaClient, OllamaTimeoutError } from "../ollama/ollama-client.ts";
import type { NodeCondition } from "../status/node-condition.ts";
import { repeat } from "./repeat.ts";

export interface OllamaWatchDeps {
  readonly client: OllamaAsker & Pick<OllamaClient, "displayUrl">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly condition: NodeCondition;
  /** Called when Ollama answers after it did not, before the condition says so. */
  readonly onReachable: () => Promise<void>;
  /** Called when it no longer answers. */
  readonly onUnreachable: () => void;
}

const PROBE_PAUSE_MS = 1_000;

/** A machine under load may miss one probe; a connection that is refused twice needs no third opinion. */
const TIMEOUTS_BEFORE_UNREACHABLE = 3;

/** How long a call waits for a fresh probe before it is told that Ollama is away. */
const FRESH_PROBE_WAIT_MS = 1_000;

export class OllamaWatch {
  readonly #deps: OllamaWatchDeps;
  readonly #stop = new AbortController();
  #timeouts = 0;
  #probing: Promise<void> | undefined;
  #ended: Promise<void> | undefined;

  constructor(deps: OllamaWatchDeps) {
    this.#deps = deps;
  }

  /** Probes once, then goes on. Resolves after the first probe, whatever it said. */
  async start(): Promise<void> {
    await this.probe();
    const { clock, log } = this.#deps;
    const options = { clock, log, name: "probe of Ollama", pauseMs: PROBE_PAUSE_MS, signal: this.#stop.signal };
    this.#ended = repeat(options, () => this.probe());
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  /** Probes now; callers share a probe that runs. */
  probe(): Promise<void> {
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = undefined;
    });
    return this.#probing;
  }

  /** Whether Ollama answers; asks once more, for a second at most, when the last probe said no. */
  async isReachable(): Promise<boolean> {
    const { condition, clock } = this.#deps;
    if (!condition.isOllamaReachable) await Promise.race([this.probe(), sleep(clock, FRESH_PROBE_WAIT_MS)]);
    return condition.isOllamaReachable;
  }

  async #probe(): Promise<void> {
    try {
      await probeTwice(this.#deps.client);
    } catch (cause) {
      this.#missed(cause);
      return;
    }
    this.#timeouts = 0;
    if (!this.#deps.condition.isOllamaReachable) await this.#arrived();
  }

  /** Who starts an agent before its Ollama, or with a wrong address, must not have to ask why no call is answered. */
  sayIfMissing(): void {
    const { client, condition, log } = this.#deps;
    if (condition.isOllamaReachable) return;
    const words = "no Ollama answers there: start it with `ollama serve`, or name it with --ollama; waiting for it";
    log.warn({ ollama: client.displayUrl }, words);
  }

  #missed(cause: unknown): void {
    this.#timeouts = cause instanceof OllamaTimeoutError ? this.#timeouts + 1 : TIMEOUTS_BEFORE_UNREACHABLE;
    const { condition, client, log } = this.#deps;
    // What is asked while it stops fails because it stops.
    if (this.#stop.signal.aborted) return;
    if (!condition.isOllamaReachable || this.#timeouts < TIMEOUTS_BEFORE_UNREACHABLE) return;
    log.warn({ ollama: client.displayUrl, err: cause }, "Ollama no longer answers");
    condition.setOllama(false, condition.ollamaVersion);
    this.#deps.onUnreachable();
  }

  /** The version may be another one than before: Ollama was restarted. */
  async #arrived(): Promise<void> {
    const { condition, client, log } = this.#deps;
    const version = await readVersion(client).catch(() => condition.ollamaVersion);
    await this.#deps.onReachable();
    condition.setOllama(true, version);
    log.info({ ollama: client.displayUrl, version }, "Ollama answers");
  }
}

/** A kept connection breaks when Ollama restarts; only a fresh one tells whether it is there. */
async function probeTwice(client: OllamaAsker): Promise<void> {
  try {
    await probeOllama(client);
  } catch (cause) {
    if (cause instanceof OllamaTimeoutError) throw cause;
    await probeOllama(client);
  }
}
