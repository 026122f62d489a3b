/**
 * What following Consul costs a router, by size of the fleet, and how fast maintenance takes effect. The Consul is real.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Figure, quantile } from "../figure.ts";
import { type ConsulServer, startConsul } from "./consul-server.ts";
import { measureMaintenance } from "./maintenance.ts";
import type { WatchFacts } from "./watch-program.ts";

const SMALL = 1_000;
const LARGE = 10_000;
const CHANGES = 20;
/** Registrations under way at a time. */
const AT_ONCE = 16;
const SETTLED_LIMIT_MS = 120_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function benchConsul(): Promise<readonly Figure[]> {
  const consul = await startConsul();
  if (consul === undefined) throw new Error("this benchmark needs `consul` on PATH");
  try {
    const maintenance = await measureMaintenance(consul);
    const small = await measureSize(consul, 0, SMALL);
    const large = await measureSize(consul, SMALL, LARGE);
    return [...maintenanceFigures(maintenance), ...sizeFigures(SMALL, small), ...sizeFigures(LARGE, large)];
  } finally {
    consul.stop();
  }
}

interface Measured {
  /** From the start of the process to the whole list. */
  readonly first: WatchFacts;
  readonly idle: WatchFacts;
  readonly changing: WatchFacts;
}

async function measureSize(consul: ConsulServer, from: number, to: number): Promise<Measured> {
  await register(consul, from, to);
  const watch = fork(fileURLToPath(new URL("./watch-program.ts", import.meta.url)), [consul.url], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  try {
    const first = await settled(watch, to);
    await sleep(3_000);
    await facts(watch);
    await sleep(CHANGES * 1_000);
    const idle = await facts(watch);
    for (let change = 0; change < CHANGES; change++) {
      const isOn = change % 2 === 0;
      await consul.put(`/agent/service/maintenance/bench-0?enable=${isOn}&reason=bench`);
      await sleep(1_000);
    }
    return { first, idle, changing: await facts(watch) };
  } finally {
    watch.kill("SIGKILL");
  }
}

async function register(consul: ConsulServer, from: number, to: number): Promise<void> {
  let next = from;
  const work = async (): Promise<void> => {
    for (let index = next++; index < to; index = next++) {
      const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
      const meta = { id: `bench-node-${index}`, name: `bench-${index}`, base_weight: "100", version: "0", proto: "v1" };
      const check = { CheckID: `bench-${index}:ttl`, Name: "drover alive", TTL: "24h", Status: "passing" };
      const body = {
        Name: "drover-agent",
        ID: `bench-${index}`,
        Address: address,
        Port: 50_052,
        Meta: meta,
        Check: check,
      };
      await consul.put("/agent/service/register", body);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

function facts(watch: ChildProcess): Promise<WatchFacts> {
  return new Promise((resolve) => {
    const listen = (message: { readonly type: string; readonly facts: WatchFacts }): void => {
      if (message.type !== "facts") return;
      watch.off("message", listen);
      resolve(message.facts);
    };
    watch.on("message", listen);
    watch.send("facts");
  });
}

/** The stall is the worst of all looks: each look forgets what it told. */
async function settled(watch: ChildProcess, members: number): Promise<WatchFacts> {
  let stallMs = 0;
  for (const endMs = performance.now() + SETTLED_LIMIT_MS; performance.now() < endMs; await sleep(250)) {
    const now = await facts(watch);
    // Before the first list the process starts: loading its modules is not discovery.
    if (now.members > 0) stallMs = Math.max(stallMs, now.stallMs);
    if (now.members >= members) return { ...now, stallMs };
  }
  throw new Error(`the watch did not see ${members} members`);
}

function maintenanceFigures(times: readonly number[]): readonly Figure[] {
  const max = Math.max(...times);
  return [
    { name: "maintenance to last pick, p50", value: quantile(times, 0.5), unit: "ms" },
    { name: "maintenance to last pick, max", value: max, unit: "ms", goal: "<= 100 ms", ok: max <= 100 },
  ];
}

function sizeFigures(size: number, { first, idle, changing }: Measured): readonly Figure[] {
  const share = ({ cpuMs, elapsedMs }: WatchFacts): number => (100 * cpuMs) / elapsedMs;
  const stallMs = Math.max(first.stallMs, changing.stallMs);
  const cpuGoal = size === SMALL ? { goal: "<= 2 %", ok: share(changing) <= 2 } : {};
  const stallGoal = size === LARGE ? { goal: "<= 50 ms", ok: stallMs <= 50 } : {};
  const name = `${size} instances`;
  return [
    {
      name: `${name}, CPU at 1 change/s`,
      value: share(changing),
      unit: "% of a core",
      baseline: share(idle),
      ...cpuGoal,
    },
    { name: `${name}, decisions on ${CHANGES} changes`, value: changing.decisions, unit: "" },
    { name: `${name}, longest stall, first list`, value: first.stallMs, unit: "ms" },
    { name: `${name}, longest stall`, value: stallMs, unit: "ms", ...stallGoal },
  ];
}
