/**
 * The program `drover-router`: reads its configuration and runs until it is told to stop.
 */
import { configOrHelp, createLogger, runProgram, startTelemetry, systemClock, systemRng } from "@drover/platform";
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
    const { name: service, version } = routerConfig;
    const telemetry = startTelemetry({ service, version, env, clock: systemClock });
    lifecycle.onStop("telemetry", () => telemetry.shutdown());
    const router = await buildRouter(config, { telemetry, clock: systemClock, rng: systemRng, log, env, lifecycle });
    const { address, opsAddress, sources } = router;
    log.info({ address, opsAddress, sources, policy: config.policy }, "router ready");
    if (sources.join() === "static" && config.nodes.length === 0) {
      log.warn(
        {},
        "no nodes are configured, so no call can be answered: give them with --nodes, --nodes-file, --nodes-dns or --consul",
      );
    }
    return { address, opsAddress };
  },
});
