/**
 * A router's discovery alone, in a process of its own: the real watch of Consul and the real fleet. Its links open no connections,
 * so that what is measured is Consul's part. Answers each message with what was measured since the last one.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { silentLogger, systemClock, systemRng } from "@drover/platform";
import { createConsulSource, Fleet, openConsulHttp } from "@drover/routing";

export interface WatchFacts {
  readonly members: number;
  /** Decisions on members. */
  readonly decisions: number;
  readonly cpuMs: number;
  readonly elapsedMs: number;
  /** The longest time for which the event loop did not run. */
  readonly stallMs: number;
}

/** How often the event loop looks at the clock; its own delay counts for nothing. */
const RESOLUTION_MS = 5;

const url = process.argv[2] ?? "";
const sources = ["consul"];
const fleet = new Fleet({
  clock: systemClock,
  log: silentLogger,
  sources,
  openLink: () => ({ close: () => undefined }),
});
// As the parts of a router that look at each snapshot.
fleet.onChange(() => fleet.snapshot.byId.size);
let decisions = 0;
fleet.onMembership(() => decisions++);
const reader = openConsulHttp({ url, token: () => undefined }, systemClock);
const isAttached = (): boolean => true;
const source = createConsulSource({ clock: systemClock, rng: systemRng, log: silentLogger, reader, isAttached });
const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
let since = { cpu: process.cpuUsage(), atMs: performance.now() };

process.on("message", (message: { readonly watchesLoop: boolean }) => {
  const { user, system } = process.cpuUsage(since.cpu);
  const facts: WatchFacts = {
    members: fleet.members().length,
    decisions,
    cpuMs: (user + system) / 1_000,
    elapsedMs: performance.now() - since.atMs,
    stallMs: Math.max(delay.max / 1e6 - RESOLUTION_MS, 0),
  };
  process.send?.({ type: "facts", facts });
  since = { cpu: process.cpuUsage(), atMs: performance.now() };
  decisions = 0;
  delay.reset();
  // Its own timer would be most of what an idle process costs.
  if (message.watchesLoop) delay.enable();
  else delay.disable();
});
process.once("disconnect", () => process.exit(0));
process.send?.({ type: "ready", address: "" });
for await (const update of source.watch(new AbortController().signal)) fleet.apply(source.name, update);
