import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";
import { chunkFrame, doneFrame, progressFrame, unaryFrame } from "../testing/frames.ts";

describe("a call that succeeds", () => {
  it("passes a stream's messages on as they come and ends OK", () => {
    const bench = DispatchBench.of("a");
    const { caller, body } = bench.start();
    bench.transport.last.chunk("Hel");
    bench.transport.last.chunk("lo");
    expect(caller.bytes).toEqual(Buffer.concat([chunkFrame("Hel"), chunkFrame("lo")]));
    bench.transport.last.done();
    expect(caller.outcome).toBeUndefined();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(caller.bytes).toEqual(Buffer.concat([chunkFrame("Hel"), chunkFrame("lo"), doneFrame()]));
    expect(body.isReleased).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("is sent to the node as it came, with what the agent has to know", () => {
    const bench = DispatchBench.of("a");
    bench.start({ id: "call-7", headers: { "x-own": ["1", "2"] }, timeoutMs: 10_000 });
    const { endpoint, path, headers, body } = bench.transport.last.request;
    expect(endpoint).toBe("a");
    expect(path).toBe("/drover.inference.v1.InferenceService/Chat");
    expect(body).toEqual(Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]));
    expect(headers).toEqual({
      "x-own": ["1", "2"],
      "drover-call": "call-7",
      "drover-router": "secret-1",
      "drover-attempt": "1",
      "drover-send": "1",
      "drover-max-wait-ms": "120000",
      // 50 ms are this hop's own.
      "grpc-timeout": "9950m",
    });
  });

  it("sends no deadline on when the caller set none", () => {
    const bench = DispatchBench.of("a");
    bench.start();
    expect(bench.transport.last.request.headers).not.toHaveProperty("grpc-timeout");
  });

  it("holds its lease until the attempt ends", () => {
    const bench = DispatchBench.of("a");
    bench.start();
    expect(bench.ledger.openLeases("id-a")).toBe(1);
    bench.transport.last.chunk();
    bench.transport.last.done();
    expect(bench.ledger.openLeases("id-a")).toBe(1);
    bench.transport.last.ok();
    expect(bench.ledger.openTotal).toBe(0);
  });

  it("releases the body at the commit, since no other node will need it", () => {
    const bench = DispatchBench.of("a");
    const { body } = bench.start();
    expect(body.isReleased).toBe(false);
    bench.transport.last.chunk();
    expect(body.isReleased).toBe(true);
  });

  it("passes progress on without committing to the node", () => {
    const bench = DispatchBench.of("a", "b");
    const { caller, body } = bench.start();
    bench.transport.last.progress();
    expect(caller.bytes).toEqual(progressFrame());
    expect(body.isReleased).toBe(false);
    bench.transport.last.breaks();
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    bench.transport.last.chunk();
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
  });

  it("keeps progress from a caller that does not want it, and nothing else", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ isProgressWanted: false });
    bench.transport.last.progress();
    expect(caller.written).toEqual([]);
    bench.transport.last.sends(progressFrame("p"), progressFrame("q"), chunkFrame("c"));
    bench.transport.last.done();
    expect(caller.bytes).toEqual(Buffer.concat([chunkFrame("c"), doneFrame()]));
  });

  it("commits with the first token, also when progress comes in the same piece", () => {
    const bench = DispatchBench.of("a", "b");
    const { body } = bench.start();
    bench.transport.last.sends(progressFrame(), chunkFrame());
    expect(body.isReleased).toBe(true);
  });

  it("commits with `done` alone, for an answer without a token", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start();
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("tells node, attempts and times in the trailers", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ id: "call-7" });
    bench.clock.advance(250);
    bench.transport.last.chunk();
    bench.clock.advance(100);
    bench.transport.last.done();
    bench.transport.last.ok({ "drover-queue-ms": "40", "drover-load-ms": "120", "drover-send": "1" });
    expect(caller.trailers).toEqual({
      "drover-call": "call-7",
      "drover-node": "a",
      "drover-attempts": "1",
      "drover-queue-ms": "40",
      "drover-load-ms": "120",
      "drover-ttft-ms": "250",
    });
  });
});

describe("a unary call that succeeds", () => {
  it("holds its answer back until the OK is there", () => {
    const bench = DispatchBench.of("a");
    const { caller, body } = bench.start({ isUnary: true });
    bench.transport.last.unaryAnswer("m");
    expect(caller.written).toEqual([]);
    expect(body.isReleased).toBe(false);
    bench.transport.last.ok();
    expect(caller.bytes).toEqual(unaryFrame("m"));
    expect(caller.outcome).toBe("OK");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("goes to another node when the first breaks after its answer and before its OK", () => {
    const bench = DispatchBench.of("a", "b");
    const { caller } = bench.start({ isUnary: true });
    bench.transport.last.unaryAnswer("first");
    bench.transport.last.breaks();
    bench.transport.last.unaryAnswer("second");
    bench.transport.last.ok();
    expect(caller.bytes).toEqual(unaryFrame("second"));
    expect(caller.outcome).toBe("OK");
  });

  it("takes an OK without an answer for a failure of the node", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ isUnary: true });
    bench.transport.last.ok();
    bench.clock.advance(25);
    expect(caller.outcome).toBe("node_protocol_error");
    expect(caller.written).toEqual([]);
  });

  it("stops a node that answers more than one message, so that none can fill the memory", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ isUnary: true });
    const attempt = bench.transport.last;
    attempt.unaryAnswer("1");
    attempt.unaryAnswer("2");
    expect(attempt.isCancelled).toBe(true);
    bench.clock.advance(25);
    expect(caller.outcome).toBe("node_protocol_error");
    expect(caller.message).toContain("2 messages instead of one");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});
