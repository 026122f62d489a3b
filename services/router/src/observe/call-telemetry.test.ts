import { Code } from "@connectrpc/connect";
import { DroverError, SimClock, silentLogger } from "@drover/platform";
import fc from "fast-check";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { type EndedSpan, startRecordingTelemetry } from "../../../platform/src/testing/recording-telemetry.ts";
import { DispatchBench, NOTHING_LEFT } from "../../../routing/src/testing/dispatch-bench.ts";
import { createCallTelemetry } from "./call-telemetry.ts";
import { createTellRefused } from "./refused-call.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const CALLER = "b7ad6b7169203331";
const CALL = "drover.inference.v1.InferenceService/Chat";
const recording = startRecordingTelemetry();
const { telemetry, ended, measured } = recording;

beforeEach(() => recording.clear());
afterAll(() => telemetry.shutdown());

function benchOf(...names: readonly string[]): DispatchBench {
  const bench = new DispatchBench({ observer: createCallTelemetry({ telemetry, clock: new SimClock() }) });
  bench.attach(...names);
  return bench;
}

const traced = (flags = "01") => ({ headers: { traceparent: `00-${TRACE}-${CALLER}-${flags}` } });
const named = (name: string): EndedSpan[] => ended.filter((span) => span.name === name);
const outcomes = (): unknown[] => named("attempt").map(({ attributes }) => attributes["outcome"]);

/** One span for the call below the caller's, and the attempts below that; nothing that was begun is left open. */
function expectOneTree(): EndedSpan {
  expect(ended).toHaveLength(recording.begun());
  const [call] = named(CALL);
  if (call === undefined) throw new Error("the call has no span");
  expect(named(CALL)).toHaveLength(1);
  expect(call.parentSpanContext?.spanId).toBe(CALLER);
  for (const span of ended) expect(span.spanContext().traceId).toBe(TRACE);
  for (const attempt of named("attempt")) expect(attempt.parentSpanContext?.spanId).toBe(call.spanContext().spanId);
  return call;
}

describe("the trace of a call", () => {
  it("holds each attempt of one that was tried again", () => {
    const bench = benchOf("a", "b");
    bench.start(traced());
    bench.transport.last.breaks();
    bench.clock.advance(2_000);
    bench.transport.last.done();
    bench.transport.last.ok();
    const call = expectOneTree();
    expect(outcomes()).toEqual(["NODE_UNREACHABLE", "ok"]);
    expect(named("attempt").map(({ attributes }) => attributes["drover.attempt"])).toEqual([1, 2]);
    expect(call.attributes).toMatchObject({ "rpc.response.status_code": "OK", "drover.attempts": 2 });
  });

  it("ends the loser of two attempts as lost, and says what hung", () => {
    const bench = benchOf("a", "b");
    bench.start(traced());
    bench.clock.advance(2_000);
    bench.transport.last.reads(2_000, 100);
    bench.clock.advance(3_000);
    bench.transport.last.done();
    bench.transport.last.ok();
    expectOneTree();
    expect(outcomes()).toEqual(["lost", "ok"]);
    expect(named("attempt")[0]?.attributes["drover.hang"]).toBe("slot-quiet");
    expect(measured).toContainEqual({
      name: "hungAttempts",
      value: 1,
      attributes: { "drover.node": "a", hang: "slot-quiet" },
    });
  });

  it("has no attempt where the call was refused, and says why", () => {
    const bench = benchOf("a");
    bench.start({ ...traced(), profile: { ...bench.profile, node: "nobody" } });
    const call = expectOneTree();
    expect(named("attempt")).toEqual([]);
    expect(call.attributes).toMatchObject({ "rpc.response.status_code": "NOT_FOUND", "error.type": "NODE_NOT_FOUND" });
  });

  it("has none either where dispatch never saw the call", () => {
    const error = new DroverError("malformed_request", "The request is no message.");
    const refused = { id: "call-1", path: `/${CALL}`, metadata: traced().headers, error, tookMs: 5 };
    expect(createTellRefused(silentLogger, telemetry)(refused).ending.code).toBe(Code.InvalidArgument);
    expect(expectOneTree().attributes).toMatchObject({ "drover.call": "call-1", "error.type": "MALFORMED_REQUEST" });
    expect(measured.map(({ name }) => name)).toEqual(["rpcServerCallDuration"]);
  });

  it("repeats nothing that Ollama says of what the caller said", () => {
    const bench = benchOf("a");
    const { caller } = bench.start(traced());
    bench.transport.last.fails("request_rejected", "It refuses. Ollama: hunter2");
    expect(caller.message).toContain("hunter2");
    expect(expectOneTree().status.message).toContain("It refuses.");
    const said = ended.map(({ attributes, status, events }) => [attributes, status, events]);
    expect(JSON.stringify(said)).not.toContain("hunter2");
  });

  it("ends with its caller's leaving", () => {
    const bench = benchOf("a");
    const { call } = bench.start(traced());
    call.cancel();
    expect(expectOneTree().attributes["rpc.response.status_code"]).toBe("CANCELLED");
    expect(outcomes()).toEqual(["lost"]);
  });

  it("goes on to the agent as the attempt's span, tracestate and baggage as they came", () => {
    const bench = benchOf("a");
    const headers = { ...traced().headers, tracestate: "vendor=1,other=x", baggage: "user=ann,tier=gold;p=1" };
    const { call } = bench.start({ headers });
    const sent = bench.transport.last.request.headers;
    call.cancel();
    expect(sent["traceparent"]).toBe(`00-${TRACE}-${named("attempt")[0]?.spanContext().spanId}-01`);
    expect(sent).toMatchObject({ tracestate: "vendor=1,other=x", baggage: "user=ann,tier=gold;p=1" });
  });

  it("is not made where the caller decided that it is not sampled, and the agent is told so", () => {
    const bench = benchOf("a");
    const { call } = bench.start(traced("00"));
    const sent = bench.transport.last.request.headers;
    call.cancel();
    expect(recording.begun()).toBe(0);
    expect(String(sent["traceparent"])).toMatch(new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`));
  });

  it.each(["rubbish", `00-${"0".repeat(32)}-${CALLER}-01`, `ff-${TRACE}-${CALLER}-01`, ""])(
    "begins anew where traceparent is %j",
    (traceparent) => {
      const bench = benchOf("a");
      const { call } = bench.start({ headers: { traceparent } });
      const sent = String(bench.transport.last.request.headers["traceparent"]);
      call.cancel();
      const [span] = named(CALL);
      expect(span?.parentSpanContext).toBeUndefined();
      expect(sent).toContain(span?.spanContext().traceId);
    },
  );

  it("leaves no span open, whatever happens to its calls", () => {
    const step = fc.constantFrom("chunk", "done", "ok", "breaks", "busy", "wrong", "hang", "cancel", "late" as const);
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        recording.clear();
        const bench = benchOf("a", "b", "c");
        const { call } = bench.start({ ...traced(), timeoutMs: 400_000 });
        for (const each of steps) act(bench, each, () => call.cancel());
        call.cancel();
        expectOneTree();
        expect(bench.leftovers).toEqual(NOTHING_LEFT);
      }),
      { seed: 7, numRuns: 300 },
    );
  });
});

function act(bench: DispatchBench, step: string, cancel: () => void): void {
  const { last } = bench.transport;
  const steps: Readonly<Record<string, () => void>> = {
    chunk: () => last.chunk(),
    done: () => last.done(),
    ok: () => last.ok(),
    breaks: () => last.breaks(),
    busy: () => last.fails("ollama_busy"),
    wrong: () => last.fails("request_rejected"),
    hang: () => bench.clock.advance(12_000),
    late: () => bench.clock.advance(500_000),
    cancel,
  };
  steps[step]?.();
}
