/**
 * How long a pick takes: eligibility, policy and lease, on fleets of several sizes in which every node has the model.
 */
import {
  createPicker,
  createPolicy,
  type FleetSnapshot,
  LeaseLedger,
  type NodeView,
  POLICY_NAMES,
} from "@drover/routing";
import { type Figure, quantile } from "./figure.ts";

const SIZES = [8, 100, 1_000];
const PICKS = 2_000;
const WARM_UP = 500;

export function benchPick(): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const policy of POLICY_NAMES) {
    for (const size of SIZES) figures.push(...measure(policy, size));
  }
  return Promise.resolve(figures);
}

function measure(policyName: (typeof POLICY_NAMES)[number], size: number): readonly Figure[] {
  const picker = createPicker(createPolicy(policyName), new LeaseLedger());
  const snapshot = fleetOf(size);
  const profile = {
    model: "m",
    modelKey: "m",
    capabilities: ["completion"],
    labels: new Map(),
    node: undefined,
    session: undefined,
    namesContext: false,
    contextAbove: 0,
    mustTellCapabilities: false,
  };
  const micros: number[] = [];
  for (let i = 0; i < WARM_UP + PICKS; i++) {
    const begin = process.hrtime.bigint();
    const result = picker.pick({ profile, excluded: new Set(), nowMs: 0 }, snapshot);
    const took = Number(process.hrtime.bigint() - begin) / 1_000;
    if (result.kind !== "picked") throw new Error(`expected a pick, got ${result.kind}`);
    result.lease.end();
    if (i >= WARM_UP) micros.push(took);
  }
  const name = `${policyName}, ${size} nodes`;
  const isGoal = size === 1_000 && policyName === "weighted";
  const p50 = quantile(micros, 0.5);
  const p99 = quantile(micros, 0.99);
  return [
    { name: `pick p50, ${name}`, value: p50, unit: "us", ...(isGoal ? { goal: "<= 5 us", ok: p50 <= 5 } : {}) },
    { name: `pick p99, ${name}`, value: p99, unit: "us", ...(isGoal ? { goal: "<= 50 us", ok: p99 <= 50 } : {}) },
  ];
}

function fleetOf(size: number): FleetSnapshot {
  const nodes = Array.from({ length: size }, (_, index) => nodeOf(index));
  return { nodes, byId: new Map(nodes.map((node) => [node.id, node])), members: [], isDiscovered: true };
}

function nodeOf(index: number): NodeView {
  const model = {
    name: "m:latest",
    digest: "d",
    sizeBytes: 1,
    capabilities: new Set(["completion"]),
    contextLength: 4096,
  };
  return {
    id: `node-${index}`,
    name: `node-${index}`,
    incarnation: "1",
    endpoint: `127.0.0.1:${index}`,
    isNameShared: false,
    availability: "available",
    detail: "",
    isSuspect: false,
    labels: {},
    baseWeight: 100,
    routerSecret: "s",
    ackedSend: 0,
    models: new Map([["m", model]]),
    isInventoryComplete: true,
    runners: new Map(),
    loadedModels: new Set(["m"]),
    slots: 1 + (index % 4),
    active: index % 3,
    queued: 0,
    queueLimit: 256,
  };
}
