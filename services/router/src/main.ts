/**
 * The program `drover-router`: reads its configuration and runs until it is told to stop.
 */
import {
  configOrHelp,
  createLogger,
  formatHostPort,
  type HostPort,
  parseHostPort,
  runProgram,
  systemClock,
  systemRng,
} from "@drover/platform";
import { buildRouter } from "./build-router.ts";
import { routerConfig } from "./config.ts";

await runProgram({
  name: routerConfig.name,
  main: async (lifecycle) => {
    const { env } = process;
    const print = (text: string): void => void process.stdout.write(text);
    const config = configOrHelp(routerConfig, { argv: process.argv.slice(2), env, print });
    if (config === undefined) return undefined;
    const log = createLogger({ name: routerConfig.name, level: config.logLevel });
    lifecycle.useLog(log);
    const router = await buildRouter(config, { clock: systemClock, rng: systemRng, log, env, lifecycle });
    const address = advertised(config.advertise, router.address);
    const nodes = config.nodes.length;
    log.info({ address, listen: router.address, ops: router.opsAddress, nodes, policy: config.policy }, "router ready");
    return { address, listen: router.address, opsAddress: router.opsAddress };
  },
});

/** The address that others are told; without a port of its own it is the one that is listened on. */
function advertised(wanted: HostPort | undefined, listening: string): string {
  if (wanted === undefined) return listening;
  return formatHostPort({ host: wanted.host, port: wanted.port || (parseHostPort(listening)?.port ?? 0) });
}
