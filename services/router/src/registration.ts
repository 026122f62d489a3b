/**
 * This router in Consul, so that clients find it: what is published, and what an operator's maintenance there does to it. A router
 * without an address that others reach is not published, and serves all the same.
 */
import {
  type Clock,
  consulAccess,
  type Env,
  type Lifecycle,
  type Logger,
  type Registrar,
  type Rng,
  STOPPING_REASON,
  startRegistration,
} from "@drover/platform";
import type { RouterConfig } from "./config.ts";
import type { Readiness } from "./readiness.ts";
import { VERSION } from "./version.ts";

/** Of the contracts: the version in the names of Drover's packages. */
const PROTO = "v1";

export interface RouterRegistrationOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly env: Env;
  readonly lifecycle: Lifecycle;
  readonly readiness: Readiness;
  /** Survives restarts. */
  readonly id: string;
  /** As bound. */
  readonly address: string;
  readonly opsAddress: string;
}

/** Undefined without --consul, or where no address could be published. */
export function registerRouter(config: RouterConfig, options: RouterRegistrationOptions): Registrar | undefined {
  if (config.consul === undefined) return undefined;
  const { lifecycle, readiness, id, log, env } = options;
  const { stopSignal } = lifecycle;
  const registrar = startRegistration({
    ...options,
    consul: consulAccess(config.consul, env),
    service: "drover-router",
    advertise: config.advertise,
    describe: () => {
      const { isReady } = readiness.report();
      // In maintenance it is well, it only takes no new callers; and while it stops its running calls are.
      const isPassing = isReady || stopSignal.aborted || readiness.maintenance !== undefined;
      return {
        meta: { id, name: config.name, version: VERSION, proto: PROTO },
        alive: { isPassing, note: isPassing ? "takes calls" : "not ready: see /readyz" },
        drainReason: stopSignal.aborted ? STOPPING_REASON : readiness.maintenance,
      };
    },
    onMaintenance: (reason) => {
      log.info({ reason }, reason === undefined ? "maintenance ended in Consul" : "maintenance began in Consul");
      readiness.setMaintenance(reason);
    },
  });
  stopSignal.addEventListener("abort", () => registrar?.changed(), { once: true });
  return registrar;
}
