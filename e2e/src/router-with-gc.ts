/**
 * A router in a process that can collect its garbage when it is asked: run it with `--expose-gc`. It takes the router's flags and
 * answers each message with the bytes in use after a collection.
 */
import { Lifecycle, loadConfig, noTelemetry, silentLogger, systemClock, systemRng } from "@drover/platform";
import { buildRouter, routerConfig } from "@drover/router";

const loaded = loadConfig(routerConfig, { argv: process.argv.slice(2), env: {} });
if (loaded.kind !== "ok") throw new Error(JSON.stringify(loaded));
const router = await buildRouter(loaded.config, {
  telemetry: noTelemetry,
  clock: systemClock,
  rng: systemRng,
  log: silentLogger,
  env: {},
  lifecycle: new Lifecycle(systemClock, silentLogger),
});

process.on("message", () => {
  // Twice: what has finalizers goes with the second one.
  globalThis.gc?.();
  globalThis.gc?.();
  process.send?.({ heapUsed: process.memoryUsage().heapUsed });
});
process.once("disconnect", () => process.exit());
process.send?.({ address: router.address });
