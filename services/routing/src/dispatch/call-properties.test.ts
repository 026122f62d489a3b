import { type EndingKind, seededRng } from "@drover/platform";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT, type StartedCall } from "../testing/dispatch-bench.ts";
import type { FakeNode } from "../testing/fake-fleet.ts";
import { callProfile, MODEL } from "../testing/node-views.ts";
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
  { load: { runners: [{ model: MODEL, state: RunnerState.LOADED, slots: 8 }] } },
  {},
  { condition: { isDraining: true } },
  { condition: { isOllamaReachable: false } },
  { load: { queued: 3, queueLimit: 3 } },
  { inventory: { models: [], isComplete: true } },
];

const PROGRESS_TAG = 0x0a;
const CHUNK_TAG = 0x12;

/** Small, so that runs of a few dozen events reach the bound. */
const SECONDS_MAX = 2;

/** Over all runs: what never happens is not proved. */
const reached = { second: 0, budgetEmpty: 0, secondCommitted: 0, firstCommitted: 0 };

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
  | { readonly kind: "lose" | "silence"; readonly node: string }
  | { readonly kind: "hang"; readonly attempt: number; readonly what: "loads" | "queues" | "reads" | "nothing" }
  | { readonly kind: "discover"; readonly nodes: readonly string[] }
  | { readonly kind: "sends"; readonly attempt: number; readonly what: "progress" | "chunk" | "done" | "unaryAnswer" }
  | { readonly kind: "ok"; readonly attempt: number }
  | { readonly kind: "fails" | "breaks"; readonly attempt: number; readonly failure: EndingKind };

const index = fc.nat({ max: 30 });
const node = fc.constantFrom(...NODES);
const failure = fc.constantFrom(...FAILURES);

/** In one of `every` cases; fc.option has it the other way round. */
const sometimes = <T>(every: number, value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: every - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

const start: fc.Arbitrary<Event> = fc.record({
  kind: fc.constant("start" as const),
  isUnary: fc.boolean(),
  timeoutMs: sometimes(2, fc.integer({ min: 0, max: 3_000 })),
  maxWaitMs: fc.constantFrom(0, 100, 10_000),
  node: sometimes(5, node),
});

const hang: fc.Arbitrary<Event> = fc.record({
  kind: fc.constant("hang" as const),
  attempt: index,
  what: fc.constantFrom("loads" as const, "queues" as const, "reads" as const, "nothing" as const),
});

const sends: fc.Arbitrary<Event> = fc.record({
  kind: fc.constant("sends" as const),
  attempt: index,
  what: fc.constantFrom("progress" as const, "chunk" as const, "done" as const, "unaryAnswer" as const),
});

const breaks: fc.Arbitrary<Event> = fc.record({
  kind: fc.constantFrom("fails" as const, "breaks" as const),
  attempt: index,
  failure,
});

const ok: fc.Arbitrary<Event> = fc.record({ kind: fc.constant("ok" as const), attempt: index });

/** A fleet that is well, but for what hangs. */
const hangEvent: fc.Arbitrary<Event> = fc.oneof(
  { weight: 4, arbitrary: start },
  { weight: 4, arbitrary: hang },
  { weight: 2, arbitrary: sends },
  { weight: 1, arbitrary: ok },
  { weight: 1, arbitrary: breaks },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("cancel" as const, "full" as const), call: index }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("silence" as const), node }) },
);

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 3, arbitrary: start },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("cancel" as const, "drained" as const, "full" as const, "throwing-caller" as const),
      call: index,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("advance" as const), ms: fc.nat({ max: 2_000 }) }) },
  { weight: 2, arbitrary: hang },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("node" as const),
      node,
      condition: fc.nat({ max: CONDITIONS.length - 1 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom("lose" as const, "silence" as const), node }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("discover" as const), nodes: fc.subarray([...NODES]) }) },
  { weight: 6, arbitrary: sends },
  { weight: 2, arbitrary: ok },
  { weight: 4, arbitrary: breaks },
);

interface Tracked extends StartedCall {
  readonly id: string;
  isCancelled: boolean;
  writesAtEnd: number | undefined;
  attemptsAtCommit: number | undefined;
}

class Run {
  readonly bench = new DispatchBench({
    rng: seededRng(7),
    hasEjection: true,
    hang: { budgetReserve: SECONDS_MAX, budgetRatio: 0 },
  });
  /** Attempts that began beside another one of their call. */
  readonly #seconds = new Set<ScriptedAttempt>();
  #firstSecondMs = Number.POSITIVE_INFINITY;
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
      case "silence":
        if (this.discovered.has(event.node)) bench.fake.report(event.node, { kind: "silent", atMs: 0 });
        return;
      case "hang":
        return this.#hang(event);
      case "sends":
        return this.#send(event);
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

  /** The agent says what it does, or nothing, and then time passes. */
  #hang({ attempt, what }: Event & { kind: "hang" }): void {
    const found = this.#attempt(attempt);
    if (what === "reads") found?.reads(1_000, 100);
    else if (what !== "nothing") found?.[what]();
    this.bench.clock.advance(5_500);
  }

  /** Tokens name their attempt, so that a mixed answer would be seen. */
  #send({ attempt, what }: Event & { kind: "sends" }): void {
    const found = this.#attempt(attempt);
    if (what === "chunk") found?.chunk(String(this.bench.transport.attempts.indexOf(found)));
    else found?.[what]();
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
    for (const call of this.calls) this.#checkPair(call);
    // All within a minute of the first one: none has left the window of the budget.
    if (this.bench.clock.nowMs() - this.#firstSecondMs < 54_000) {
      expect(this.#seconds.size).toBeLessThanOrEqual(SECONDS_MAX);
    }
    if (this.#seconds.size >= SECONDS_MAX) reached.budgetEmpty++;
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

  /** At most two attempts run at once, on two nodes, and the caller is told tokens of one alone. */
  #checkPair({ id, caller }: Tracked): void {
    const own = this.bench.transport.attempts.filter(({ request }) => request.headers["drover-call"] === id);
    const running = own.filter((attempt) => attempt.isRunning);
    expect(running.length).toBeLessThanOrEqual(2);
    expect(new Set(running.map(({ request }) => request.endpoint)).size).toBe(running.length);
    const [first, second] = running;
    if (second !== undefined && !this.#seconds.has(second) && first !== undefined) {
      this.#seconds.add(second);
      reached.second++;
      this.#firstSecondMs = Math.min(this.#firstSecondMs, this.bench.clock.nowMs());
    }
    const tellers = new Set(
      caller.written.filter((bytes) => bytes[5] === CHUNK_TAG).map((bytes) => String(bytes.subarray(7))),
    );
    expect(tellers.size).toBeLessThanOrEqual(1);
    const teller = own.find((attempt) => tellers.has(String(this.bench.transport.attempts.indexOf(attempt))));
    if (teller === undefined || own.length < 2) return;
    expect(running.filter((attempt) => attempt !== teller)).toEqual([]);
    if (this.#seconds.has(teller)) reached.secondCommitted++;
    else if (own.some((attempt) => this.#seconds.has(attempt))) reached.firstCommitted++;
  }

  /** Ends what still runs: nodes break, waits and backoffs run out. */
  finish(): void {
    for (let round = 0; round < 8; round++) {
      for (const attempt of this.bench.transport.attempts) attempt.breaks();
      this.bench.clock.advance(20_000);
    }
  }
}

async function play(events: readonly Event[]): Promise<void> {
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
}

describe("calls under any sequence of events", () => {
  it("end exactly once, write nothing afterwards, and leave nothing behind", async () => {
    await fc.assert(fc.asyncProperty(fc.array(event, { minLength: 10, maxLength: 80 }), play), { numRuns: 300 });
  }, 30_000);

  it("have two attempts at most, tell one answer alone, and keep to the budget when nodes hang", async () => {
    const property = fc.asyncProperty(fc.array(hangEvent, { minLength: 10, maxLength: 40 }), play);
    // Seeded, because some seeds reach too little in so few runs; the test above has a new one each time.
    await fc.assert(property, { numRuns: 60, seed: 5 });
    // What was never reached was not proved.
    expect(Object.entries(reached).filter(([, times]) => times === 0)).toEqual([]);
  }, 30_000);
});
