/**
 * What following Consul costs a router, by size of the fleet, and how fast maintenance and a killed agent take effect. The Consul is real.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Figure, quantile } from "../figure.ts";
import { type ConsulServer, startConsul } from "./consul-server.ts";
import { measureLeaving } from "./leaving.ts";
import type { WatchFacts } from "./watch-program.ts";

const SMALL = 1_000;
const LARGE = 10_000;
const CHANGES = 20;
/** Of a transaction: Consul refuses more (agent/txn_endpoint.go, maxTxnOps). */
const OPERATIONS_MAX = 64;
const MACHINE = "bench-machine";
const SETTLED_LIMIT_MS = 120_000;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function benchConsul(): Promise<readonly Figure[]> {
  const consul = await startConsul();
  if (consul === undefined) throw new Error("this benchmark needs `consul` on PATH");
  try {
    const { maintenance, kill } = await measureLeaving(consul);
    const small = await measureSize(consul, 0, SMALL);
    const large = await measureSize(consul, SMALL, LARGE);
    return [
      ...leavingFigures("maintenance", maintenance, 100),
      ...leavingFigures("kill -9", kill, 50),
      ...sizeFigures(SMALL, small),
      ...sizeFigures(LARGE, large),
    ];
  } finally {
    consul.stop();
  }
}

interface Measured {
  /** From the start of the process to the whole list. */
  readonly first: WatchFacts;
  readonly idle: WatchFacts;
  readonly changing: WatchFacts;
  /** Of a second round of changes: to look at the event loop costs CPU itself. */
  readonly stallMs: number;
}

async function measureSize(consul: ConsulServer, from: number, to: number): Promise<Measured> {
  await register(consul, from, to);
  const watch = fork(fileURLToPath(new URL("./watch-program.ts", import.meta.url)), [consul.url], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  try {
    const first = await settled(watch, to);
    await sleep(8_000);
    await facts(watch, false);
    await sleep(CHANGES * 1_000);
    const idle = await facts(watch, false);
    await change(consul);
    const changing = await facts(watch, true);
    await change(consul);
    return { first, idle, changing, stallMs: (await facts(watch, true)).stallMs };
  } finally {
    watch.kill("SIGKILL");
  }
}

async function change(consul: ConsulServer): Promise<void> {
  for (let count = 0; count < CHANGES; count++) {
    await setMaintenance(consul, count % 2 === 0);
    await sleep(1_000);
  }
}

/** Straight into the catalog: an agent that holds thousands of registrations spends seconds on each new one. */
async function register(consul: ConsulServer, from: number, to: number): Promise<void> {
  await consul.put("/catalog/register", { Node: MACHINE, Address: "10.0.0.1" });
  for (let at = from; at < to; at += OPERATIONS_MAX) {
    const count = Math.min(OPERATIONS_MAX, to - at);
    const services = Array.from({ length: count }, (_, index) => serviceOf(at + index));
    await consul.put(
      "/txn",
      services.map((Service) => ({ Service: { Verb: "set", Node: MACHINE, Service } })),
    );
  }
}

function serviceOf(index: number): object {
  const meta = { id: `bench-node-${index}`, name: `bench-${index}`, base_weight: "100", version: "0", proto: "v1" };
  const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
  return { ID: `bench-${index}`, Service: "drover-agent", Address: address, Port: 50_052, Meta: meta };
}

/** As `consul maint` would, for the first instance. */
function setMaintenance(consul: ConsulServer, isOn: boolean): Promise<void> {
  const check = { CheckID: "_service_maintenance:bench-0", Name: "Service Maintenance Mode", ServiceID: "bench-0" };
  const Check = { ...check, Status: isOn ? "critical" : "passing", Notes: "bench" };
  return consul.put("/catalog/register", { Node: MACHINE, Address: "10.0.0.1", SkipNodeUpdate: true, Check });
}

/** What was measured until now; from now on the event loop is looked at, or not. */
function facts(watch: ChildProcess, watchesLoop: boolean): Promise<WatchFacts> {
  return new Promise((resolve) => {
    const listen = (message: { readonly type: string; readonly facts: WatchFacts }): void => {
      if (message.type !== "facts") return;
      watch.off("message", listen);
      resolve(message.facts);
    };
    watch.on("message", listen);
    watch.send({ watchesLoop });
  });
}

/** The stall is the worst of all looks: each look forgets what it told. */
async function settled(watch: ChildProcess, members: number): Promise<WatchFacts> {
  let stallMs = 0;
  for (const endMs = performance.now() + SETTLED_LIMIT_MS; performance.now() < endMs; await sleep(250)) {
    const now = await facts(watch, true);
    // Before the first list the process starts: loading its modules is not discovery.
    if (now.members > 0) stallMs = Math.max(stallMs, now.stallMs);
    if (now.members >= members) return { ...now, stallMs };
  }
  throw new Error(`the watch did not see ${members} members`);
}

function leavingFigures(event: string, times: readonly number[], goalMs: number): readonly Figure[] {
  const max = Math.max(...times);
  return [
    { name: `${event} to last pick, p50`, value: quantile(times, 0.5), unit: "ms" },
    { name: `${event} to last pick, max`, value: max, unit: "ms", goal: `<= ${goalMs} ms`, ok: max <= goalMs },
  ];
}

function sizeFigures(size: number, { first, idle, changing, stallMs: later }: Measured): readonly Figure[] {
  const share = ({ cpuMs, elapsedMs }: WatchFacts): number => (100 * cpuMs) / elapsedMs;
  const stallMs = Math.max(first.stallMs, later);
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
