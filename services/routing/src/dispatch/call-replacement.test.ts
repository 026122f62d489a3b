import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";
import { MODEL } from "../testing/node-views.ts";

const SLOTS = 2;
const QUEUE_LIMIT = 3;
const CALLS = 50;

/** A node as its agent keeps it: what it runs and what waits there, told with every status. */
class SimulatedNode {
  readonly #bench: DispatchBench;
  readonly name: string;
  most = 0;

  constructor(bench: DispatchBench, name: string) {
    this.#bench = bench;
    this.name = name;
  }

  get running() {
    return this.#bench.transport.attempts.filter(
      ({ isRunning, request }) => isRunning && request.endpoint === this.name,
    );
  }

  /** Tells its load, with every send that has arrived. */
  tell(): void {
    const held = this.running;
    const active = Math.min(held.length, SLOTS);
    const queued = held.length - active;
    const runners = [{ model: MODEL, state: RunnerState.LOADED, slots: SLOTS, active, queued }];
    const ackedSend = BigInt(Math.max(0, ...held.map(({ request }) => Number(request.headers["drover-send"]))));
    this.#bench.fake.status(this.name, {
      load: { runners, slotsPerRunner: SLOTS, queueLimit: QUEUE_LIMIT, active, queued },
      ackedSend,
    });
  }

  /** Ends what runs, and takes note of how much it was given at most. */
  work(): void {
    const held = this.running;
    this.most = Math.max(this.most, held.length);
    for (const attempt of held.slice(0, SLOTS)) {
      attempt.chunk();
      attempt.done();
      attempt.ok();
    }
  }
}

describe("a node that dies with many calls", () => {
  it("leaves the others no more than their free slots and queues hold, and all calls end well", async () => {
    const bench = DispatchBench.of("dying", "a", "b");
    const survivors = [new SimulatedNode(bench, "a"), new SimulatedNode(bench, "b")];
    const onDying = { profile: { ...bench.profile, labels: new Map([["place", "first"]]) } };
    // All begin on the node that dies, which alone has the label; afterwards the others have it too.
    await bench.change("dying", { identity: { labels: { place: "first" } }, load: { slotsPerRunner: CALLS } });
    const calls = Array.from({ length: CALLS }, () => bench.start(onDying));
    const dying = [...bench.transport.attempts];
    expect(new Set(bench.transport.endpoints)).toEqual(new Set(["dying"]));
    for (const { name } of survivors) await bench.change(name, { identity: { labels: { place: "first" } } });
    for (const survivor of survivors) survivor.tell();
    bench.fake.lose("dying");
    for (const attempt of dying) attempt.breaks();
    for (let turn = 0; turn < 100 && calls.some(({ caller }) => caller.outcome === undefined); turn++) {
      for (const survivor of survivors) {
        survivor.work();
        survivor.tell();
      }
      await Promise.resolve();
      bench.clock.advance(50);
    }
    expect(calls.map(({ caller }) => caller.outcome)).toEqual(calls.map(() => "OK"));
    for (const { most } of survivors) expect(most).toBe(SLOTS + QUEUE_LIMIT);
    expect(calls.every(({ caller }) => caller.trailers["drover-attempts"] === "2")).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("lets none wait that a full node itself has refused", async () => {
    const bench = DispatchBench.of("a", "b");
    const { caller } = bench.start();
    await bench.change("b", { load: { slotsPerRunner: 1, queueLimit: 1, queued: 1 } });
    bench.transport.last.fails("queue_full");
    expect(caller.outcome).toBe("queue_full");
  });
});
