/**
 * What every policy must do, described once and run for each. It sees a policy only through its picker.
 */
import type { DroverError } from "@drover/platform";
import { describe, expect, it } from "vitest";
import type { LinkState } from "../fleet/link-state.ts";
import type { Availability, NodeView } from "../fleet/node-view.ts";
import type { FleetMember, FleetSnapshot } from "../fleet/snapshot.ts";
import { callProfile, keyOf, MODEL, nodeView, runnerView, snapshotOf } from "../testing/node-views.ts";
import type { CallProfile } from "./call-profile.ts";
import { createPicker } from "./create-picker.ts";
import { LeaseLedger } from "./lease-ledger.ts";
import type { Lease, Picker, PickResult, Policy } from "./picker.ts";

interface Bench {
  readonly picker: Picker;
  readonly ledger: LeaseLedger;
}

interface PickOptions extends Partial<CallProfile> {
  readonly excluded?: readonly string[];
  readonly nowMs?: number;
}

export function describePolicy(createPolicy: () => Policy): void {
  const bench = (): Bench => {
    const ledger = new LeaseLedger();
    return { picker: createPicker(createPolicy(), ledger), ledger };
  };
  describe("the one filter", () => describeFilter(bench));
  describe("sharing", () => describeSharing(bench));
  describe("leases", () => describeLeases(bench));
  describe("waiting and refusing", () => describeVerdicts(bench));
  describe("ranking", () => describeRanking(bench));
}

function pick(
  { picker }: Bench,
  nodes: readonly NodeView[] | FleetSnapshot,
  { excluded = [], nowMs = 60_000, ...profile }: PickOptions = {},
): PickResult {
  const snapshot = "nodes" in nodes ? nodes : snapshotOf(nodes);
  return picker.pick({ profile: callProfile(profile), excluded: new Set(excluded), nowMs }, snapshot);
}

/** The name of the picked node; its lease ends at once, as that of a call that is over. */
function pickedName(bench: Bench, nodes: readonly NodeView[], options?: PickOptions): string {
  const { node, lease } = mustPick(bench, nodes, options);
  lease.end();
  return node.name;
}

function mustPick(bench: Bench, nodes: readonly NodeView[], options?: PickOptions) {
  const result = pick(bench, nodes, options);
  if (result.kind !== "picked") throw new Error(`nothing was picked: ${result.error.message}`);
  return result;
}

function mustNotPick(
  bench: Bench,
  kind: "wait" | "refused",
  nodes: readonly NodeView[] | FleetSnapshot,
  options?: PickOptions,
): DroverError {
  const result = pick(bench, nodes, options);
  if (result.kind !== kind) throw new Error(`expected ${kind}, got ${result.kind}`);
  return result.error;
}

/** How often each node is picked in `calls` calls, each of which ends before the next one begins. */
function countPicks(bench: Bench, nodes: readonly NodeView[], calls: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (let call = 0; call < calls; call++) {
    const name = pickedName(bench, nodes);
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

/** Nodes as their agents report them: what runs on each is counted and acknowledged at once. */
class LiveNodes {
  readonly #nodes: Map<string, NodeView>;

  constructor(nodes: readonly NodeView[]) {
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
  }

  get views(): readonly NodeView[] {
    return [...this.#nodes.values()];
  }

  add(node: NodeView): void {
    this.#nodes.set(node.id, node);
  }

  begin({ node, lease }: { node: NodeView; lease: Lease }): void {
    this.#change(node.id, { active: this.#node(node.id).active + 1, ackedSend: lease.send });
  }

  end({ node, lease }: { node: NodeView; lease: Lease }): void {
    lease.end();
    this.#change(node.id, { active: this.#node(node.id).active - 1 });
  }

  #node(id: string): NodeView {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  #change(id: string, change: Partial<NodeView>): void {
    this.#nodes.set(id, { ...this.#node(id), ...change });
  }
}

const ABSENT: readonly Exclude<Availability, "available">[] = [
  "connecting",
  "unreachable",
  "ollama-unreachable",
  "draining",
  "conflicting",
];

/** Each is a node that must never be picked, and what of the call makes it so. */
const INELIGIBLE: readonly (readonly [string, NodeView, PickOptions])[] = [
  ["another one than the caller asked for", nodeView("bad"), { node: "good" }],
  ["one whose labels differ", nodeView("bad", { labels: { zone: "us" } }), { labels: new Map([["zone", "eu"]]) }],
  ["one without the labels", nodeView("bad"), { labels: new Map([["zone", "eu"]]) }],
  ["one that lacks the model", nodeView("bad", { models: ["qwen3:4b"] }), {}],
  ["one that has the model under another tag", nodeView("bad", { models: ["llama3.2:3b"] }), {}],
  ["one whose model lacks a capability", nodeView("bad"), { capabilities: ["completion", "tools"] }],
  ["one that failed in this call", nodeView("bad"), { excluded: ["id-bad"] }],
  ["one whose queue is full", nodeView("bad", { queued: 4, queueLimit: 4 }), {}],
  ...ABSENT.map((availability) => [`one that is ${availability}`, nodeView("bad", { availability }), {}] as const),
];

function describeFilter(bench: () => Bench): void {
  it.each(INELIGIBLE)("never picks %s, however busy the others are", (_what, bad, options) => {
    const good = nodeView("good", {
      labels: { zone: "eu" },
      capabilities: ["completion", "tools"],
      active: 50,
      queued: 3,
      baseWeight: 1,
    });
    const own = bench();
    for (let call = 0; call < 20; call++) expect(pickedName(own, [bad, good, bad], options)).toBe("good");
  });

  it.each(INELIGIBLE)("does not pick %s when it is the only one", (_what, bad, options) => {
    expect(pick(bench(), [bad], options).kind).not.toBe("picked");
  });

  it("addresses a node by its id", () => {
    const nodes = [nodeView("a"), nodeView("b"), nodeView("c")];
    const own = bench();
    for (let call = 0; call < 5; call++) expect(pickedName(own, nodes, { node: "id-b" })).toBe("b");
  });

  it("addresses a node by its name", () => {
    expect(pickedName(bench(), [nodeView("a"), nodeView("b")], { node: "b" })).toBe("b");
  });

  it("addresses nodes that share a name by their ids only", () => {
    const nodes = [
      nodeView("x", { id: "id-1", name: "twin", isNameShared: true }),
      nodeView("y", { id: "id-2", name: "twin", isNameShared: true }),
    ];
    const own = bench();
    const { node, lease } = mustPick(own, nodes, { node: "id-2" });
    lease.end();
    expect(node.id).toBe("id-2");
    const error = mustNotPick(own, "refused", nodes, { node: "twin" });
    expect(error.kind).toBe("node_name_ambiguous");
    expect(error.message).toBe('2 nodes are named "twin": use an id (id-1, id-2).');
  });

  it("takes nodes that share a name like any other when no name is asked for", () => {
    const nodes = [
      nodeView("x", { id: "id-1", name: "twin", isNameShared: true }),
      nodeView("y", { id: "id-2", name: "twin", isNameShared: true }),
    ];
    expect(countPicks(bench(), nodes, 10)).toEqual({ twin: 10 });
  });

  it("asks for all labels", () => {
    const nodes = [
      nodeView("a", { labels: { gpu: "a100", zone: "us" } }),
      nodeView("b", { labels: { gpu: "a100", zone: "eu" } }),
      nodeView("c", { labels: { gpu: "t4", zone: "eu" } }),
    ];
    const labels = new Map([
      ["gpu", "a100"],
      ["zone", "eu"],
    ]);
    const own = bench();
    for (let call = 0; call < 5; call++) expect(pickedName(own, nodes, { labels })).toBe("b");
  });

  it("compares models by Ollama's rules", () => {
    const nodes = [nodeView("a", { models: ["Llama3:latest"] })];
    expect(pickedName(bench(), nodes, { model: "llama3", modelKey: keyOf("llama3") })).toBe("a");
  });

  it("concludes nothing from a list of capabilities that the node does not know", () => {
    const nodes = [nodeView("a", { capabilities: [] })];
    expect(pickedName(bench(), nodes, { capabilities: ["completion", "tools"] })).toBe("a");
  });

  it("takes nodes that discovery lost sight of only when no other can take the call", () => {
    const nodes = [
      nodeView("a", { isSuspect: true }),
      nodeView("b", { active: 5 }),
      nodeView("c", { isSuspect: true }),
    ];
    const each = bench();
    expect([pickedName(each, nodes), pickedName(each, nodes)]).toEqual(["b", "b"]);
    expect(pickedName(each, nodes, { excluded: ["id-b"] })).toMatch(/^[ac]$/);
  });

  it("sends a node no more than its slots and its queue hold until it tells of them, though a runner has two names", () => {
    const runner = runnerView({ slots: 1 });
    const runners = new Map([MODEL, "alias"].map((name) => [keyOf(name), [runner]]));
    const node = nodeView("a", { slots: 1, queueLimit: 1, runners });
    const own = bench();
    expect([1, 2, 3].map(() => pick(own, [node]).kind)).toEqual(["picked", "picked", "refused"]);
  });

  it("takes a queue without a known limit for one that is not full", () => {
    expect(pickedName(bench(), [nodeView("a", { queued: 9, queueLimit: 0 })])).toBe("a");
  });
}

function describeSharing(bench: () => Bench): void {
  it("rotates ties, so that equal idle nodes share calls equally", () => {
    const nodes = ["a", "b", "c"].map((name) => nodeView(name));
    expect(countPicks(bench(), nodes, 300)).toEqual({ a: 100, b: 100, c: 100 });
  });

  it("never gives an equal idle node two calls more than another", () => {
    const own = bench();
    const nodes = ["a", "b", "c", "d"].map((name) => nodeView(name));
    const counts = new Map(nodes.map((node) => [node.name, 0]));
    for (let call = 0; call < 100; call++) {
      const name = pickedName(own, nodes);
      counts.set(name, (counts.get(name) ?? 0) + 1);
      expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1);
    }
  });

  it("spreads calls of one moment over idle nodes, before any status can tell of them", () => {
    const own = bench();
    const nodes = ["a", "b", "c"].map((name) => nodeView(name));
    const names = new Set([1, 2, 3].map(() => mustPick(own, nodes).node.name));
    expect(names).toEqual(new Set(["a", "b", "c"]));
  });

  it("gives a new idle node its share at once", () => {
    const own = bench();
    const nodes = ["a", "b"].map((name) => nodeView(name));
    countPicks(own, nodes, 501);
    const counts = countPicks(own, [...nodes, nodeView("new")], 30);
    expect(counts["new"]).toBeGreaterThanOrEqual(9);
    expect(counts["new"]).toBeLessThanOrEqual(11);
  });

  it("does not bury a new node under calls to make up for those that it missed", () => {
    const own = bench();
    const nodes = ["a", "b"].map((name) => nodeView(name));
    countPicks(own, nodes, 501);
    const names = Array.from({ length: 6 }, () => pickedName(own, [...nodes, nodeView("new")]));
    expect(names.filter((name) => name === "new").length).toBeLessThanOrEqual(3);
  });

  it("starves no node while calls overlap", () => {
    const own = bench();
    const live = new LiveNodes(["a", "b", "c"].map((name) => nodeView(name)));
    const counts: Record<string, number> = {};
    const running: { node: NodeView; lease: Lease }[] = [];
    for (let call = 0; call < 600; call++) {
      if (call === 300) live.add(nodeView("new"));
      const picked = mustPick(own, live.views);
      live.begin(picked);
      running.push(picked);
      if (call >= 300) counts[picked.node.name] = (counts[picked.node.name] ?? 0) + 1;
      const oldest = running.length > 5 ? running.shift() : undefined;
      if (oldest !== undefined) live.end(oldest);
    }
    for (const name of ["a", "b", "c", "new"]) expect(counts[name]).toBeGreaterThan(300 / 8);
    for (const picked of running) live.end(picked);
    expect(own.ledger.openTotal).toBe(0);
  });

  it("goes on sharing when nodes leave and come back", () => {
    const own = bench();
    const nodes = ["a", "b", "c"].map((name) => nodeView(name));
    countPicks(own, nodes, 50);
    countPicks(own, nodes.slice(0, 1), 50);
    const counts = countPicks(own, nodes, 30);
    for (const name of ["a", "b", "c"]) expect(counts[name]).toBeGreaterThanOrEqual(8);
  });

  it("keeps no memory of the many nodes that left", () => {
    const own = bench();
    for (let round = 0; round < 5_000; round++) pickedName(own, [nodeView(`short-lived-${round}`)]);
    const counts = countPicks(own, [nodeView("a"), nodeView("b")], 100);
    expect(counts).toEqual({ a: 50, b: 50 });
  });

  it("decides the same whenever it is asked the same", () => {
    const decisions = (): readonly string[] => {
      const own = bench();
      const live = new LiveNodes([
        nodeView("a", { slots: 2 }),
        nodeView("b", { baseWeight: 300 }),
        nodeView("c", { loaded: [] }),
      ]);
      return Array.from({ length: 200 }, (_, call) => {
        const picked = mustPick(own, live.views);
        if (call % 3 !== 0) live.begin(picked);
        if (call % 3 === 1) live.end(picked);
        return picked.node.name;
      });
    };
    expect(decisions()).toEqual(decisions());
  });
}

function describeLeases(bench: () => Bench): void {
  it("counts a pick on its node until the lease ends", () => {
    const own = bench();
    const picks = Array.from({ length: 10 }, () => mustPick(own, [nodeView("a"), nodeView("b")]));
    expect(own.ledger.openTotal).toBe(10);
    expect(own.ledger.openLeases("id-a") + own.ledger.openLeases("id-b")).toBe(10);
    for (const { lease } of picks) lease.end();
    expect(own.ledger.openTotal).toBe(0);
    expect(own.ledger.openLeases("id-a")).toBe(0);
  });

  it("numbers its sends in rising order", () => {
    const own = bench();
    const sends = Array.from({ length: 5 }, () => mustPick(own, [nodeView("a"), nodeView("b")]).lease.send);
    expect(sends).toEqual([...sends].sort((a, b) => a - b));
    expect(new Set(sends).size).toBe(5);
  });

  it("opens none when nothing is picked", () => {
    const own = bench();
    for (const [, bad, options] of INELIGIBLE) pick(own, [bad], options);
    expect(own.ledger.openTotal).toBe(0);
  });
}

function describeVerdicts(bench: () => Bench): void {
  it("refuses at once when every live queue is full, whoever else is away", () => {
    const away = nodeView("b", { availability: "unreachable", detail: "silent" });
    const error = mustNotPick(bench(), "refused", [nodeView("a", { queued: 4, queueLimit: 4 }), away]);
    expect(error).toMatchObject({ kind: "queue_full" });
  });

  it("refuses with the expected wait when every queue is full", () => {
    const nodes = [nodeView("a", { queued: 4, queueLimit: 4 }), nodeView("b", { queued: 9, queueLimit: 8 })];
    const error = mustNotPick(bench(), "refused", nodes);
    expect(error).toMatchObject({ kind: "queue_full", retryAfterMs: 1_000 });
    expect(error.message).toBe(
      `Every queue for model "${MODEL}" is full (a with 4 waiting, b with 9 waiting): try again later, or add nodes.`,
    );
  });

  it.each(ABSENT)("waits while the node that has the model is %s", (availability) => {
    const nodes = [nodeView("a", { availability, detail: "so it is" }), nodeView("b", { models: ["qwen3:4b"] })];
    const error = mustNotPick(bench(), "wait", nodes);
    expect(error).toMatchObject({ kind: "no_node_available", retryAfterMs: 1_000 });
    expect(error.message).toContain("a: so it is");
  });

  it("waits for discovery's first answer", () => {
    const error = mustNotPick(bench(), "wait", snapshotOf([], { isDiscovered: false }));
    expect(error).toMatchObject({ kind: "fleet_not_ready", retryAfterMs: 1_000 });
    expect(error.message).toContain("discovery has not answered yet");
  });

  it("refuses at once when there is no node and will be none", () => {
    const error = mustNotPick(bench(), "refused", []);
    expect(error.kind).toBe("model_not_found");
    expect(error.message).toContain("start the router with --nodes");
  });

  it("waits for endpoints that have not answered yet, until they were unreachable for 5 s", () => {
    const snapshot = snapshotOf([nodeView("a", { models: ["qwen3:4b"] })], {
      members: [member("late:1", { kind: "connecting", sinceMs: 10_000, failure: "" })],
    });
    const error = mustNotPick(bench(), "wait", snapshot, { nowMs: 14_999 });
    expect(error.kind).toBe("fleet_not_ready");
    expect(error.message).toContain("1 of 1 nodes have not told their models yet");
    expect(mustNotPick(bench(), "refused", snapshot, { nowMs: 15_000 }).kind).toBe("model_not_found");
  });

  it("names the nearest models and the nodes that are away when no node has the model", () => {
    const away = nodeView("c", { models: ["qwen3:4b"], availability: "unreachable" });
    const snapshot = snapshotOf([nodeView("a", { models: ["llama3.1:8b"] }), away], {
      members: [member("d:1", { kind: "connecting", sinceMs: 0, failure: "no" })],
    });
    const error = mustNotPick(bench(), "refused", snapshot);
    expect(error).toMatchObject({ kind: "model_not_found", facts: { model: MODEL } });
    expect(error.message).toContain(`No node has model "${MODEL}".`);
    expect(error.message).toContain("Nearest: llama3.1:8b.");
    expect(error.message).toContain("Away now: c.");
    expect(error.message).toContain("1 node has never answered.");
  });

  it("does not count a node that is silent, or lost at two endpoints, as one that never answered", () => {
    const silent = nodeView("s", { models: ["qwen3:4b"], availability: "unreachable" });
    const lost = nodeView("l", { models: ["qwen3:4b"], availability: "unreachable" });
    const snapshot = snapshotOf([silent, lost], {
      members: [lostMember("l:1"), lostMember("l:2")],
    });
    const error = mustNotPick(bench(), "refused", snapshot);
    expect(error.message).toContain("Away now: s, l.");
    expect(error.message).not.toContain("never answered");
  });

  it("waits for nodes whose Ollama was never read, when no other can tell of its models", () => {
    const unread = nodeView("a", {
      models: [],
      isInventoryComplete: false,
      availability: "ollama-unreachable",
      detail: "its Ollama does not answer",
    });
    const error = mustNotPick(bench(), "wait", [unread]);
    expect(error).toMatchObject({ kind: "fleet_not_ready", retryAfterMs: 1_000 });
    expect(error.message).toContain("a: its Ollama does not answer");
    const other = nodeView("b", { models: ["qwen3:4b"] });
    const refusal = mustNotPick(bench(), "refused", [unread, other]);
    expect(refusal.kind).toBe("model_not_found");
    expect(refusal.message).toContain("Away now: a.");
  });

  it("says which labels keep the model out of reach", () => {
    const nodes = [nodeView("a", { labels: { zone: "us" } }), nodeView("b", { models: ["qwen3:4b"] })];
    const error = mustNotPick(bench(), "refused", nodes, { labels: new Map([["zone", "eu"]]) });
    expect(error.kind).toBe("model_not_found");
    expect(error.message).toBe(`No node with labels zone=eu has model "${MODEL}"; without them a would.`);
  });

  it("says what the model cannot do", () => {
    const error = mustNotPick(bench(), "refused", [nodeView("a")], { capabilities: ["completion", "tools", "vision"] });
    expect(error).toMatchObject({ kind: "capability_missing", facts: { model: MODEL, capabilities: "tools,vision" } });
    expect(error.message).toContain(`Model "${MODEL}" does not support tools, vision: it has completion.`);
  });

  it("refuses a node that nobody knows, and names those that it knows", () => {
    const error = mustNotPick(bench(), "refused", [nodeView("a"), nodeView("b")], { node: "c" });
    expect(error.kind).toBe("node_not_found");
    expect(error.message).toBe('No node has the id or name "c". Known nodes: a, b.');
  });

  it("waits for a node that nobody knows yet while not all have answered", () => {
    const snapshot = snapshotOf([nodeView("a")], {
      members: [member("late:1", { kind: "connecting", sinceMs: 10_000, failure: "" })],
    });
    expect(mustNotPick(bench(), "wait", snapshot, { node: "late", nowMs: 11_000 }).kind).toBe("fleet_not_ready");
  });

  it("waits for the node that was asked for, although others could take the call", () => {
    const nodes = [nodeView("a"), nodeView("b", { availability: "draining", detail: "it drains" })];
    const error = mustNotPick(bench(), "wait", nodes, { node: "b" });
    expect(error.message).toContain("b: it drains");
  });

  it("says that the node that was asked for lacks the model, and who has it", () => {
    const nodes = [nodeView("a"), nodeView("b", { models: ["qwen3:4b"] }), nodeView("c")];
    const error = mustNotPick(bench(), "refused", nodes, { node: "b" });
    expect(error).toMatchObject({ kind: "model_not_found", facts: { model: MODEL, node: "b" } });
    expect(error.message).toBe(
      `Node "b" does not have model "${MODEL}"; a, c would. Run \`ollama pull ${MODEL}\` on it.`,
    );
  });

  it("refuses when every node that has the model failed in this call", () => {
    const nodes = [nodeView("a"), nodeView("b", { models: ["qwen3:4b"] })];
    const error = mustNotPick(bench(), "refused", nodes, { excluded: ["id-a"] });
    expect(error).toMatchObject({ kind: "no_node_available", retryAfterMs: 1_000 });
    expect(error.message).toContain("failed in this call (a)");
  });

  it("names a few nodes of many", () => {
    const nodes = Array.from({ length: 40 }, (_, index) => nodeView(`n${index}`, { availability: "draining" }));
    const error = mustNotPick(bench(), "wait", nodes);
    expect(error.message).toContain("and 35 more");
    expect(error.message.length).toBeLessThan(1_024);
  });
}

function describeRanking(bench: () => Bench): void {
  const rank = ({ picker }: Bench, nodes: readonly NodeView[], { excluded = [], ...profile }: PickOptions = {}) =>
    picker.rank({ profile: callProfile(profile), excluded: new Set(excluded), nowMs: 60_000 }, snapshotOf(nodes));
  const fleet = [
    nodeView("a", { slots: 2 }),
    nodeView("b", { baseWeight: 300 }),
    nodeView("c", { loaded: [] }),
    nodeView("d", { active: 2, queued: 1 }),
    nodeView("e", { isSuspect: true }),
  ];

  it("has first what the next pick takes, pick after pick, while loads and turns change", () => {
    const own = bench();
    const live = new LiveNodes(fleet);
    const running: { node: NodeView; lease: Lease }[] = [];
    for (let call = 0; call < 200; call++) {
      const [first] = rank(own, live.views).ranked;
      const picked = mustPick(own, live.views);
      expect(first?.node.name).toBe(picked.node.name);
      live.begin(picked);
      running.push(picked);
      const oldest = call % 3 === 0 ? running.shift() : undefined;
      if (oldest !== undefined) live.end(oldest);
    }
  });

  it("passes nobody's turn and takes no lease", () => {
    const asked = bench();
    const unasked = bench();
    const names = (own: Bench, isAsked: boolean) =>
      Array.from({ length: 40 }, () => {
        if (isAsked) for (let time = 0; time < 3; time++) rank(own, fleet);
        return pickedName(own, fleet);
      });
    expect(names(asked, true)).toEqual(names(unasked, false));
    expect(asked.ledger.openTotal).toBe(0);
  });

  it("has every node that may take the call once, by rising cost, and those that discovery lost sight of last", () => {
    const { ranked, excluded, instead } = rank(bench(), fleet);
    expect(ranked.map(({ node }) => node.name).sort()).toEqual(["a", "b", "c", "d", "e"]);
    expect(ranked.at(-1)?.node.name).toBe("e");
    const costs = ranked.slice(0, -1).map(({ cost }) => cost);
    expect(costs).toEqual([...costs].sort((a, b) => a - b));
    expect([excluded, instead]).toEqual([[], undefined]);
  });

  it("says of each node that may not take the call why", () => {
    const sound = { labels: { zone: "eu" }, capabilities: ["completion", "tools"] };
    const nodes = [
      nodeView("good", sound),
      nodeView("elsewhere", { ...sound, labels: { zone: "us" } }),
      nodeView("bare", { ...sound, models: ["qwen3:4b"] }),
      nodeView("unread", { ...sound, models: [], isInventoryComplete: false, detail: "so it is" }),
      nodeView("plain", { ...sound, capabilities: ["completion"] }),
      nodeView("drained", { ...sound, availability: "draining", detail: "draining: new fan" }),
      nodeView("full", { ...sound, queued: 4, queueLimit: 4 }),
    ];
    const labels = new Map([["zone", "eu"]]);
    const { ranked, excluded } = rank(bench(), nodes, { labels, capabilities: ["completion", "tools"] });
    expect(ranked.map(({ node }) => node.name)).toEqual(["good"]);
    expect(excluded.map(({ node, reason }) => `${node.name}: ${reason}`)).toEqual([
      "elsewhere: its labels are not zone=eu",
      "bare: does not have the model",
      "unread: its models are not known: so it is",
      "plain: its copy of the model lacks tools",
      "drained: draining: new fan",
      "full: its queue is full: 4 of 4 wait",
    ]);
    const others = rank(bench(), nodes, { node: "good", excluded: ["id-good"] }).excluded;
    expect(others.map(({ reason }) => reason)).toContain('the call asks for node "good" and no other');
    expect(others.find(({ node }) => node.name === "good")?.reason).toBe("failed in this call");
  });

  it.each(INELIGIBLE)("says what a pick would say when there is only %s", (_what, bad, options) => {
    const own = bench();
    const { ranked, instead } = rank(own, [bad], options);
    const result = pick(own, [bad], options);
    expect(ranked).toEqual([]);
    expect(result.kind).toBe(instead?.kind);
    if (result.kind !== "picked") expect(instead?.error.message).toBe(result.error.message);
  });
}

function member(endpoint: string, link: LinkState): FleetMember {
  return { endpoint, sources: ["static"], link };
}

function lostMember(endpoint: string): FleetMember {
  const identity = { $typeName: "drover.fleet.v1.NodeIdentity" as const, id: "id-l", name: "l", incarnation: "1" };
  return member(endpoint, {
    kind: "lost",
    sinceMs: 0,
    reason: "lost",
    known: {
      parts: {
        identity: { ...identity, version: "", labels: {}, baseWeight: 100 },
        condition: undefined,
        inventory: undefined,
        load: undefined,
      },
      models: new Map(),
      runners: new Map(),
      loadedModels: new Set(),
    },
  });
}
