/**
 * A router in this process, on ports that the system chooses, with a state directory of its own.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lifecycle, loadConfig, noTelemetry, silentLogger, systemClock, systemRng } from "@drover/platform";
import { buildRouter, type Router } from "../src/build-router.ts";
import { routerConfig } from "../src/config.ts";

export interface RunningRouter extends Router {
  stop(): Promise<void>;
}

/** `flags` as on the command line. */
export async function startRouter(...flags: string[]): Promise<RunningRouter> {
  const dir = mkdtempSync(join(tmpdir(), "drover-router-"));
  const argv = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--state-dir", dir, ...flags];
  const loaded = loadConfig(routerConfig, { argv, env: {} });
  if (loaded.kind !== "ok") throw new Error(JSON.stringify(loaded));
  const lifecycle = new Lifecycle(systemClock, silentLogger);
  const surroundings = {
    telemetry: noTelemetry,
    clock: systemClock,
    rng: systemRng,
    log: silentLogger,
    env: {},
    lifecycle,
  };
  const router = await buildRouter(loaded.config, surroundings);
  return {
    ...router,
    async stop() {
      await lifecycle.stop();
      rmSync(dir, { recursive: true });
    },
  };
}
