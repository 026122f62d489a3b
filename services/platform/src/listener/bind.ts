/**
 * Binds a socket to the address that a flag names, safely: never to other machines unless that was asked for. Its errors are
 * sentences for whoever typed the flag.
 */
import type { Server } from "node:net";
import { ConfigError } from "../config-error.ts";
import { formatHostPort, isLoopbackHost, parseHostPort } from "../host-port.ts";

export interface BindOptions {
  readonly listen: string;
  readonly isInsecureAllowed: boolean;
  /** Named in errors: `--listen`, `--ops-listen`. */
  readonly flag: string;
}

export interface Bound {
  readonly host: string;
  readonly port: number;
  readonly address: string;
}

export async function bindSocket(server: Server, options: BindOptions): Promise<Bound> {
  const { listen, flag } = options;
  const wanted = parseHostPort(listen);
  if (wanted === undefined) throw new ConfigError(`${flag} ${listen}: not an address; write it as 127.0.0.1:50051.`);
  if (!options.isInsecureAllowed && !isLoopbackHost(wanted.host)) throw exposed(listen, flag);
  await new Promise<void>((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void =>
      reject(new ConfigError(bindProblem(error, options), { cause: error }));
    server.once("error", fail);
    server.listen(wanted.port, wanted.host, () => {
      server.off("error", fail);
      resolve();
    });
  });
  const real = server.address();
  const bound = real === null || typeof real === "string" ? wanted : { host: real.address, port: real.port };
  // A name may lead elsewhere than it says: /etc/hosts decides what localhost is.
  if (!options.isInsecureAllowed && !isLoopbackHost(bound.host)) {
    server.close();
    throw exposed(listen, flag);
  }
  return { ...bound, address: formatHostPort(bound) };
}

function exposed(listen: string, flag: string): ConfigError {
  return new ConfigError(
    `${flag} ${listen} can be reached from other machines, and anybody there could use it; --insecure allows that, 127.0.0.1 avoids it.`,
  );
}

function bindProblem(error: NodeJS.ErrnoException, { listen, flag }: BindOptions): string {
  switch (error.code) {
    case "EADDRINUSE":
      return `${flag} ${listen}: the port is taken by another program; choose another or stop that one.`;
    case "EADDRNOTAVAIL":
      return `${flag} ${listen}: this machine has no such address.`;
    case "EACCES":
      return `${flag} ${listen}: this user may not listen there; ports below 1024 need more rights.`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `${flag} ${listen}: the name cannot be resolved.`;
    default:
      return `${flag} ${listen}: cannot listen there (${error.code ?? error.message}).`;
  }
}
