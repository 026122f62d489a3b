/**
 * grpc.health.v1: which services serve. Owns the states and tells every watcher of a change; why a state changes is its owner's.
 */
import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus as ServingStatus } from "@drover/proto/grpc/health/v1/health_pb";
import { DroverError } from "./drover-error.ts";

/** Streams of Watch at once; one per caller's connection is usual. */
const WATCHERS_LIMIT = 10_000;

export interface HealthRegistryOptions {
  readonly watchersLimit?: number;
}

/** The name `""` stands for the program as a whole. */
export class HealthRegistry {
  readonly #statuses = new Map<string, ServingStatus>();
  /** Called on each change; a watcher then reads the newest state, so that nothing queues for a slow one. */
  readonly #watchers = new Set<() => void>();
  readonly #watchersLimit: number;
  #isShutDown = false;

  constructor(options: HealthRegistryOptions = {}) {
    this.#watchersLimit = options.watchersLimit ?? WATCHERS_LIMIT;
  }

  /** Has no effect after `shutdown`. */
  set(service: string, isServing: boolean): void {
    if (this.#isShutDown) return;
    this.#statuses.set(service, isServing ? ServingStatus.SERVING : ServingStatus.NOT_SERVING);
    for (const wake of this.#watchers) wake();
  }

  /** Nothing serves any more; watchers are told so and their streams end, which would otherwise hold a drain for ever. */
  shutdown(): void {
    for (const service of this.#statuses.keys()) this.set(service, false);
    this.#isShutDown = true;
    for (const wake of this.#watchers) wake();
  }

  /** How many streams of Watch are open. */
  get watcherCount(): number {
    return this.#watchers.size;
  }

  routes(router: ConnectRouter): void {
    router.service(Health, {
      check: ({ service }) => ({ status: this.#check(service) }),
      list: () => ({
        statuses: Object.fromEntries(Array.from(this.#statuses, ([name, status]) => [name, { status }])),
      }),
      watch: ({ service }, context) => this.#watch(service, context.signal),
    });
  }

  #check(service: string): ServingStatus {
    const status = this.#statuses.get(service);
    if (status !== undefined) return status;
    throw new ConnectError(`There is no service "${service.slice(0, 200)}" here.`, Code.NotFound);
  }

  /** The state now, then each change; an unknown service is SERVICE_UNKNOWN and may appear later (gRFC A17). */
  async *#watch(service: string, signal: AbortSignal): AsyncGenerator<{ status: ServingStatus }> {
    if (this.#watchers.size >= this.#watchersLimit) {
      throw new DroverError("overloaded", "Too many callers watch the health of this program.");
    }
    let wake = (): void => undefined;
    const onChange = (): void => wake();
    // Not only in `finally`: a caller may leave while nobody asks this generator for its next value.
    const onAbort = (): void => {
      this.#watchers.delete(onChange);
      wake();
    };
    this.#watchers.add(onChange);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      let told: ServingStatus | undefined;
      while (!signal.aborted) {
        const changed = new Promise<void>((resolve) => {
          wake = resolve;
        });
        const status = this.#statuses.get(service) ?? ServingStatus.SERVICE_UNKNOWN;
        if (status !== told) yield { status };
        told = status;
        if (this.#isShutDown) throw new ConnectError("This program stops.", Code.Unavailable);
        // What changed while the caller read the last state has resolved this promise already.
        await changed;
      }
    } finally {
      this.#watchers.delete(onChange);
      signal.removeEventListener("abort", onAbort);
    }
  }
}
