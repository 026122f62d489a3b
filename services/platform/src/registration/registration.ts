/**
 * Publishes a program in Consul from what it knows of itself: works out the address and the checks, and hands them to the
 * registrar. What the service is called and what is told about it is the program's.
 */
import type { Clock } from "../clock.ts";
import type { ConsulAccess } from "../consul-access.ts";
import { formatHostPort, type HostPort, parseHostPort } from "../host-port.ts";
import type { Logger } from "../log.ts";
import type { Rng } from "../rng.ts";
import { advertisedAddress, grpcCheckAddress, isOnThisMachine } from "./advertised-address.ts";
import { type Aliveness, createConsulAgent } from "./consul-agent.ts";
import { Registrar } from "./registrar.ts";

export interface RegistrationOptions {
  readonly consul: ConsulAccess;
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  /** `drover-agent`, `drover-router`. */
  readonly service: string;
  /** Survives restarts. */
  readonly id: string;
  /** `host:port` as bound. */
  readonly address: string;
  readonly advertise: HostPort | undefined;
  /** As bound; undefined: there is no operators' listener. */
  readonly opsAddress: string | undefined;
  readonly describe: () => PublishedState;
  readonly onMaintenance: (reason: string | undefined) => void;
}

/** What changes while the program runs. */
export interface PublishedState {
  readonly meta: Readonly<Record<string, string>>;
  readonly alive: Aliveness;
  readonly drainReason: string | undefined;
}

/** What of the flags cannot work together, as sentences for who typed them: asked before anything listens. */
export function registrationProblems(
  consulUrl: string | undefined,
  listen: string,
  advertise: HostPort | undefined,
): readonly string[] {
  const bound = parseHostPort(listen);
  if (consulUrl === undefined || bound === undefined) return [];
  const advertised = advertisedAddress({ listen: bound, advertise, isConsulHere: isOnThisMachine(consulUrl) });
  return "problem" in advertised ? [advertised.problem] : [];
}

/** Starts it. Undefined, with an error in the log, where no address could be published; Consul itself may be away. */
export function startRegistration(options: RegistrationOptions): Registrar | undefined {
  const { consul, clock, rng, log, describe, onMaintenance, opsAddress } = options;
  const isConsulHere = isOnThisMachine(consul.url);
  const listen = parseHostPort(options.address) ?? { host: "", port: 0 };
  const advertised = advertisedAddress({ listen, advertise: options.advertise, isConsulHere });
  if ("problem" in advertised) {
    log.error({ problem: advertised.problem }, "not registered in Consul");
    return undefined;
  }
  const grpcCheck = grpcCheckAddress({ advertised, listen, opsAddress, isConsulHere });
  if (grpcCheck === undefined) {
    const address = formatHostPort({ host: advertised.host ?? "", port: advertised.port });
    log.warn(
      { address },
      "Consul is not told to check the published address: a proxy stands there; only this program's own word counts",
    );
  }
  const identity = { name: options.service, id: `${options.service}-${options.id}` };
  const registrar = new Registrar({
    consul: createConsulAgent(consul),
    clock,
    rng,
    log,
    wanted: () => {
      const { meta, alive, drainReason } = describe();
      return {
        definition: { ...identity, address: advertised.host, port: advertised.port, meta, grpcCheck },
        alive,
        drainReason,
      };
    },
    onMaintenance,
  });
  registrar.start();
  return registrar;
}
