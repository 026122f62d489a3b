import { noTelemetry, type Telemetry } from "@drover/platform";
import type { Dispatcher, FleetSnapshot, NodeView } from "@drover/routing";
import { expect, it } from "vitest";
import { observeFleet } from "./fleet-telemetry.ts";

/** What a scrape of `name` shows. */
function scrape(name: string, nodes: readonly Partial<NodeView>[]): readonly [number, string][] {
  const reads = new Map<string, Parameters<Telemetry["observe"]>[1]>();
  const telemetry: Telemetry = { ...noTelemetry, observe: (gauge, read) => void reads.set(gauge, read) };
  observeFleet({
    telemetry,
    snapshot: () => ({ nodes }) as FleetSnapshot,
    dispatcher: {} as Dispatcher,
    health: { report: () => ({ isEjected: false, detail: "", score: 1 }) },
  });
  const told: [number, string][] = [];
  reads.get(name)?.((value, attributes) => told.push([value, String(attributes["state"])]));
  return told;
}

const RUNNER = {
  optionsJson: "",
  state: "loaded",
  slots: 4,
  active: 3,
  queued: 0,
  contextLength: 0,
  prefillTokensPerSecond: undefined,
  bytesPerToken: undefined,
} as const;

it("counts the slots of each loaded runner once, as many as it has, also when its weights have two names", () => {
  const embedding = { ...RUNNER, slots: 1, active: 0 };
  const loading = { ...RUNNER, state: "loading", active: 0 } as const;
  const runners = new Map([
    ["chat", [RUNNER]],
    ["alias", [RUNNER]],
    ["embedding", [embedding]],
    ["loading", [loading]],
  ]);
  expect(scrape("nodeSlots", [{ name: "a", active: 3, runners, slots: 4 }])).toEqual([
    [3, "busy"],
    [2, "free"],
  ]);
});
