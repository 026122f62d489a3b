import { type EndingKind, seededRng } from "@drover/platform";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT, type StartedCall } from "../testing/dispatch-bench.ts";
import type { FakeNode } from "../testing/fake-fleet.ts";
import { callProfile } from "../testing/node-views.ts";
import type { ScriptedAttempt } from "../testing/scripted-transport.ts";

const NODES = ["a", "b", "c", "d", "e", "f"] as const;

const FAILURES: readonly EndingKind[] = [
  "node_unreachable",
  "stream_refused",
  "ollama_busy",
  "runner_crashed",
  "request_rejected",
  "node_draining",
  "context_exceeded",
  "no_output",
  "cancelled",
];

const CONDITIONS: readonly FakeNode[] = [
  {},
  { condition: { isDraining: true } },
  { condition: { isOllamaReachable: false } },
  { load: { queued: 3, queueLimit: 3 } },
  { inventory: { models: [], isComplete: true } },
];

const PROGRESS_TAG = 0x0a;

type Event =
  | {
      readonly kind: "start";
      readonly isUnary: boolean;
      readonly timeoutMs: number | undefined;
      readonly maxWaitMs: number;
      readonly node: string | undefined;
    }
  | { readonly kind: "cancel" | "drained" | "full" | "throwing-caller"; readonly call: number }
  | { readonly kind: "advance"; readonly ms: number }
  | { readonly kind: "node"; readonly node: string; readonly condition: number }
  | { readonly kind: "lose"; readonly node: string }
  | { readonly kind: "discover"; readonly nodes: readonly string[] }
  | { readonly kind: "sends"; readonly attempt: number; readonly what: "progress" | "chunk" | "done" | "unaryAnswer" }
  | { readonly kind: "ok"; readonly attempt: number }
  | { readonly kind: "fails" | "breaks"; readonly attempt: number; readonly failure: EndingKind };

const index = fc.nat({ max: 30 });
const node = fc.constantFrom(...NODES);
const failure = fc.constantFrom(...FAILURES);

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("start" as const),
      isUnary: fc.boolean(),
      timeoutMs: fc.option(fc.integer({ min: 0, max: 3_000 }), { nil: undefined }),
      maxWaitMs: fc.constantFrom(0, 100, 10_000),
      node: fc.option(node, { nil: undefined, freq: 5 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("cancel" as const, "drained" as const, "full" as const, "throwing-caller" as const),
      call: index,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.nat({ max: 2_000 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("node" as const),
      node,
      condition: fc.nat({ max: CONDITIONS.length - 1 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lose" as const), node }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("discover" as const), nodes: fc.subarray([...NODES]) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("sends" as const),
      attempt: index,
      what: fc.constantFrom("progress" as const, "chunk" as const, "done" as const, "unaryAnswer" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("ok" as const), attempt: index }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constantFrom("fails" as const, "breaks" as const), attempt: index, failure }),
  },
);

interface Tracked extends StartedCall {
  readonly id: string;
  isCancelled: boolean;
  writesAtEnd: number | undefined;
  attemptsAtCommit: number | undefined;
}

class Run {
  readonly bench = new DispatchBench({ rng: seededRng(7) });
  readonly calls: Tracked[] = [];
  readonly discovered = new Set<string>();

  play(event: Event): void {
    const { bench } = this;
    switch (event.kind) {
      case "start":
        return this.#start(event);
      case "advance":
        return bench.clock.advance(event.ms);
      case "discover":
        for (const name of event.nodes) this.discovered.add(name);
        bench.fake.discover(...event.nodes);
        return;
      case "node":
        if (this.discovered.has(event.node)) bench.fake.attach(event.node, CONDITIONS[event.condition]);
        return;
      case "lose":
        if (this.discovered.has(event.node)) bench.fake.lose(event.node);
        return;
      case "sends":
        return this.#attempt(event.attempt)?.[event.what]();
      case "ok":
        return this.#attempt(event.attempt)?.ok();
      case "fails":
        return this.#attempt(event.attempt)?.fails(event.failure);
      case "breaks":
        return this.#attempt(event.attempt)?.breaks(event.failure);
      case "cancel":
      case "drained":
      case "full":
      case "throwing-caller":
        return this.#caller(event.kind, this.calls[event.call % this.calls.length]);
    }
  }

  #start({ isUnary, timeoutMs, maxWaitMs, node }: Event & { kind: "start" }): void {
    const id = `property-${this.calls.length}`;
    const started = this.bench.start({
      id,
      isUnary,
      timeoutMs,
      maxWaitMs,
      profile: callProfile({ node }),
    });
    this.calls.push({ ...started, id, isCancelled: false, writesAtEnd: undefined, attemptsAtCommit: undefined });
  }

  #attempt(index: number): ScriptedAttempt | undefined {
    const running = this.bench.transport.attempts.filter((attempt) => attempt.isRunning);
    return running[index % running.length];
  }

  #caller(kind: "cancel" | "drained" | "full" | "throwing-caller", call: Tracked | undefined): void {
    if (call === undefined) return;
    if (kind === "full") call.caller.isFull = true;
    if (kind === "drained") {
      call.caller.isFull = false;
      call.call.drained();
    }
    if (kind === "throwing-caller") {
      call.caller.onWrite = () => {
        throw new Error("boom");
      };
    }
    if (kind === "cancel") {
      call.isCancelled ||= call.caller.endings.length === 0;
      call.call.cancel();
    }
  }

  check(): void {
    const { bench } = this;
    expect(bench.ledger.openTotal).toBe(bench.transport.running);
    let open = 0;
    for (const call of this.calls) {
      const { endings, written } = call.caller;
      expect(endings.length).toBeLessThanOrEqual(call.isCancelled ? 0 : 1);
      if (endings.length === 0 && !call.isCancelled) {
        open++;
        continue;
      }
      expect(call.body.isReleased).toBe(true);
      call.writesAtEnd ??= written.length;
      expect(written.length).toBe(call.writesAtEnd);
    }
    expect(bench.dispatcher.activeCalls).toBe(open);
    if (open === 0) expect(bench.leftovers).toEqual(NOTHING_LEFT);
    this.#checkAttempts();
  }

  #checkAttempts(): void {
    for (const call of this.calls) {
      const { id, caller } = call;
      const endpoints = this.bench.transport.attempts
        .filter(({ request }) => request.headers["drover-call"] === id)
        .map(({ request }) => request.endpoint);
      expect(endpoints.length).toBeLessThanOrEqual(4);
      // A committed call is never placed again: its caller holds a part of the answer.
      if (caller.written.some((bytes) => bytes[5] !== PROGRESS_TAG)) call.attemptsAtCommit ??= endpoints.length;
      if (call.attemptsAtCommit !== undefined) expect(endpoints.length).toBe(call.attemptsAtCommit);
    }
  }

  /** Ends what still runs: nodes break, waits and backoffs run out. */
  finish(): void {
    for (let round = 0; round < 8; round++) {
      for (const attempt of this.bench.transport.attempts) attempt.breaks();
      this.bench.clock.advance(20_000);
    }
  }
}

describe("calls under any sequence of events", () => {
  it("end exactly once, write nothing afterwards, and leave nothing behind", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(event, { minLength: 10, maxLength: 80 }), async (events) => {
        const run = new Run();
        run.play({ kind: "discover", nodes: ["a", "b", "c"] });
        for (const name of ["a", "b", "c"]) run.play({ kind: "node", node: name, condition: 0 });
        for (const each of events) {
          run.play(each);
          run.check();
          // Fleet changes are told in the next turn.
          await Promise.resolve();
          run.check();
        }
        run.finish();
        run.check();
        expect(run.bench.leftovers).toEqual(NOTHING_LEFT);
        for (const call of run.calls) expect(call.caller.endings.length).toBe(call.isCancelled ? 0 : 1);
      }),
      { numRuns: 300 },
    );
  });
});
