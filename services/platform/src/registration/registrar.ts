/**
 * Keeps one service registered in Consul for as long as the program runs: registers it, says that it is alive, carries
 * maintenance both ways, registers again whatever was forgotten, and takes it out at the end. It compares what should stand there
 * with what does; why something should stand there is the program's.
 */
import { type Clock, sleep } from "../clock.ts";
import type { Logger } from "../log.ts";
import type { Rng } from "../rng.ts";
import type { Aliveness, ConsulAgent, Maintenance, RegisteredService } from "./consul-agent.ts";
import { grpcCheckId, type ServiceDefinition } from "./service-definition.ts";

export interface RegistrarOptions {
  readonly consul: ConsulAgent;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  /** What should stand in Consul now; read before each look. */
  readonly wanted: () => WantedService;
  /** An operator switched maintenance on (with a reason) or off (undefined) in Consul itself. */
  readonly onMaintenance: (reason: string | undefined) => void;
}

export interface WantedService {
  readonly definition: ServiceDefinition;
  readonly alive: Aliveness;
  /** Why the service takes no new work; undefined: it does. */
  readonly drainReason: string | undefined;
}

/** The reason of a program's own maintenance while it stops. The next run must not take it for an operator's. */
export const STOPPING_REASON = "this program stops";

/** A third of the TTL: two signs of life may be lost. */
const INTERVAL_MS = 3_000;
const BACKOFF_FIRST_MS = 200;
const BACKOFF_LAST_MS = 10_000;
/** Leaving must not hold a stop: what stays behind is forgotten by Consul itself. */
const LEAVE_TIMEOUT_MS = 2_000;

export class Registrar {
  readonly #options: RegistrarOptions;
  readonly #stopping = new AbortController();
  #wake = new AbortController();
  #failures = 0;
  /** What was last registered; undefined: nothing that is known to stand. */
  #registered: ServiceDefinition | undefined;
  /** As last seen or set in Consul; undefined before the first look. */
  #isInMaintenance: boolean | undefined;
  #ended: Promise<void> | undefined;

  constructor(options: RegistrarOptions) {
    this.#options = options;
  }

  /** Resolves never with an error: Consul may be away, and is waited for in the background. */
  start(): void {
    this.#ended ??= this.#run();
  }

  /** What should stand in Consul has changed: looks at once instead of at the next interval. */
  changed(): void {
    this.#wake.abort();
  }

  /** Takes the service out. Resolves within 2 s, also when Consul is away. */
  async stop(): Promise<void> {
    const { clock, consul } = this.#options;
    this.#stopping.abort();
    this.#wake.abort();
    const timeout = new AbortController();
    await Promise.race([this.#leave(), sleep(clock, LEAVE_TIMEOUT_MS, timeout.signal)]);
    timeout.abort();
    consul.destroy();
  }

  async #leave(): Promise<void> {
    const { consul, log } = this.#options;
    const { id } = this.#options.wanted().definition;
    await this.#ended;
    await consul.deregister(id).then(
      () => log.info({ service: id }, "taken out of Consul"),
      (error: unknown) => log.warn({ service: id, reason: String(error) }, "could not be taken out of Consul"),
    );
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      this.#wake = new AbortController();
      const pauseMs = await this.#look();
      if (this.#stopping.signal.aborted) return;
      await sleep(this.#options.clock, pauseMs, this.#wake.signal);
    }
  }

  /** One comparison of what should stand with what does; returns the pause until the next. */
  async #look(): Promise<number> {
    const { log, rng } = this.#options;
    try {
      await this.#reconcile(this.#options.wanted());
      if (this.#failures > 0)
        log.info({ failures: this.#failures }, "Consul answers again; this program is registered there");
      this.#failures = 0;
      return INTERVAL_MS;
    } catch (error) {
      if (this.#failures++ === 0) {
        log.warn(
          { reason: String(error) },
          "Consul does not answer, or refuses: not registered there, so who looks there does not find this program; trying on",
        );
      }
      // Full jitter: a thousand programs must not come back to a restarted Consul in one moment.
      return rng.next() * Math.min(BACKOFF_FIRST_MS * 2 ** this.#failures, BACKOFF_LAST_MS);
    }
  }

  async #reconcile(wanted: WantedService): Promise<void> {
    // Twice, because Consul may restart and forget between two of its answers.
    if ((await this.#bringInLine(wanted)) || (await this.#bringInLine(wanted))) return;
    throw new Error("Consul forgets this program as soon as it is registered");
  }

  /** False: Consul does not know the service any more. */
  async #bringInLine(wanted: WantedService): Promise<boolean> {
    const { consul } = this.#options;
    const { id } = wanted.definition;
    const found = await consul.read(id);
    if (!this.#isCurrent(found, wanted.definition)) await this.#register(wanted.definition, found);
    await this.#maintain(wanted, found);
    // Last: before its maintenance stands again, a service that was forgotten must not look well.
    return await consul.setAlive(id, wanted.alive);
  }

  #isCurrent(found: RegisteredService, definition: ServiceDefinition): boolean {
    if (!found.isRegistered || this.#registered === undefined) return false;
    const { address, port, meta, grpcCheck } = definition;
    const hasGrpcCheck = found.checkIds.includes(grpcCheckId(definition.id));
    return (
      found.address === (address ?? "") &&
      found.port === port &&
      isSameMeta(found.meta, meta) &&
      hasGrpcCheck === (grpcCheck !== undefined)
    );
  }

  /** Registering again what stands keeps its maintenance and the state of its checks. */
  async #register(definition: ServiceDefinition, found: RegisteredService): Promise<void> {
    const { consul, log } = this.#options;
    const isForgotten = this.#registered !== undefined && !found.isRegistered;
    // A check that is not wanted any more would stay and fail for ever.
    const isCheckLeftOver = definition.grpcCheck === undefined && found.checkIds.includes(grpcCheckId(definition.id));
    if (isCheckLeftOver) await consul.removeCheck(grpcCheckId(definition.id));
    await consul.register(definition);
    const words = isForgotten ? "Consul had forgotten this program; registered again" : "registered in Consul";
    if (this.#registered === undefined || isForgotten) {
      log.info(
        { service: definition.name, id: definition.id, address: definition.address, port: definition.port },
        words,
      );
    }
    this.#registered = definition;
    if (isForgotten) this.#isInMaintenance = undefined;
  }

  /**
   * An operator's change in Consul since the last look is taken over; else Consul is told what the program wants. Only changes
   * count: a machine in maintenance must not drain again a node that was resumed by name.
   */
  async #maintain({ definition, drainReason }: WantedService, { maintenance }: RegisteredService): Promise<void> {
    const { consul, onMaintenance } = this.#options;
    const isOn = maintenance !== undefined;
    let reason = drainReason;
    if (this.#isOperatorsChange(maintenance) && isOn !== (drainReason !== undefined)) {
      reason = maintenance && (maintenance.reason || "maintenance in Consul");
      onMaintenance(reason);
    }
    const isWanted = reason !== undefined;
    const isSet = isWanted !== isOn && maintenance?.scope !== "machine";
    if (isSet) await consul.setMaintenance(definition.id, reason);
    this.#isInMaintenance = isSet ? isWanted : isOn;
  }

  #isOperatorsChange(maintenance: Maintenance | undefined): boolean {
    const isFirstLook = this.#isInMaintenance === undefined;
    // Left over from an earlier run that was killed while it stopped.
    if (isFirstLook && maintenance?.reason === STOPPING_REASON) return false;
    return (maintenance !== undefined) !== (this.#isInMaintenance ?? false);
  }
}

function isSameMeta(found: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean {
  const keys = Object.keys(wanted);
  return keys.length === Object.keys(found).length && keys.every((key) => found[key] === wanted[key]);
}
