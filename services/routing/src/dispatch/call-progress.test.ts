import { fromBinary } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { ChatResponseSchema, GenerateResponseSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT, type RecordingCaller } from "../testing/dispatch-bench.ts";
import { chunkFrame } from "../testing/frames.ts";
import { callProfile } from "../testing/node-views.ts";
import { messagesOf } from "../transport/frame-scanner.ts";

const DRAINING = { condition: { isDraining: true } };

/** What the caller was told, as words. */
function told({ bytes }: RecordingCaller): string[] {
  return [...messagesOf(bytes)].map((message) => {
    const { event } = fromBinary(ChatResponseSchema, message);
    if (event.case !== "progress") return event.case ?? "";
    const { kind } = event.value;
    switch (kind.case) {
      case "queued": {
        const { position, expectedWait } = kind.value;
        return `queued ${position}${expectedWait === undefined ? "" : ` for ${durationMs(expectedWait)}`}`;
      }
      case "retrying":
        return `retrying ${kind.value.node} ${kind.value.reason}`;
      default:
        return kind.case ?? "agent";
    }
  });
}

async function drainingBench(): Promise<DispatchBench> {
  const bench = DispatchBench.of("a", "b");
  await bench.change("a", DRAINING);
  await bench.change("b", DRAINING);
  return bench;
}

describe("a call that waits at the router", () => {
  it("says so after 2 s of silence, then every 10 s, with its place", async () => {
    const bench = await drainingBench();
    const first = bench.start();
    const other = bench.start({ profile: callProfile({ model: "other" }) });
    const second = bench.start();
    bench.clock.advance(1_999);
    expect(told(second.caller)).toEqual([]);
    bench.clock.advance(1);
    expect(told(second.caller)).toEqual(["queued 1"]);
    bench.clock.advance(9_999);
    expect(told(second.caller)).toEqual(["queued 1"]);
    first.call.cancel();
    other.call.cancel();
    bench.clock.advance(1);
    expect(told(second.caller)).toEqual(["queued 1", "queued 0"]);
    second.call.cancel();
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("says the same to Generate, whose stream has progress in the same place", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start();
    bench.clock.advance(2_000);
    const [message = new Uint8Array()] = messagesOf(caller.bytes);
    expect(fromBinary(GenerateResponseSchema, message).event).toMatchObject({
      case: "progress",
      value: { kind: { case: "queued", value: { position: 0 } } },
    });
  });

  it("says when an ejected node is tried again", () => {
    const bench = new DispatchBench({ hasEjection: true });
    bench.attach("a", "b");
    const start = (node: string) => bench.start({ profile: { ...bench.profile, node } });
    return Promise.resolve().then(() => {
      for (let count = 0; count < 5; count++) {
        start("a");
        bench.transport.last.fails("node_protocol_error");
      }
      const { caller, call } = start("a");
      bench.clock.advance(2_000);
      expect(told(caller)).toEqual(["queued 0 for 58000"]);
      call.cancel();
    });
  });

  it("says nothing where progress is off, nor to Embed", async () => {
    const bench = await drainingBench();
    const off = bench.start({ isProgressWanted: false });
    const embed = bench.start({ isUnary: true });
    bench.clock.advance(30_000);
    expect([off.caller.written, embed.caller.written]).toEqual([[], []]);
  });

  it("says nothing when its failure comes before 2 s, so that it is the status alone", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start({ maxWaitMs: 1_999 });
    bench.clock.advance(30_000);
    expect([caller.outcome, caller.written]).toEqual(["no_node_available", []]);
  });

  it("is over for a caller that does not read", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start();
    caller.isFull = true;
    bench.clock.advance(32_000);
    expect(caller.outcome).toBe("caller_stalled");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});

describe("a call between two attempts", () => {
  it("says which node failed, and why", async () => {
    const bench = DispatchBench.of("a", "b");
    await bench.change("b", DRAINING);
    const { caller, call } = bench.start();
    bench.clock.advance(500);
    bench.fake.lose("a");
    bench.transport.last.breaks();
    bench.clock.advance(1_500);
    expect(told(caller)).toEqual(["retrying a NODE_UNREACHABLE"]);
    bench.clock.advance(10_000);
    expect(told(caller)).toHaveLength(2);
    call.cancel();
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });
});

describe("the router's words and an agent's", () => {
  it("keep 2 s between them, and the router is silent while an attempt runs", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start();
    bench.clock.advance(2_500);
    await bench.change("a", {});
    bench.clock.advance(20_000);
    expect(told(caller)).toEqual(["queued 0"]);
    bench.transport.last.progress();
    bench.clock.advance(1_000);
    bench.fake.lose("a");
    bench.transport.last.breaks();
    bench.clock.advance(999);
    expect(told(caller)).toEqual(["queued 0", "agent"]);
    bench.clock.advance(1);
    expect(told(caller)).toEqual(["queued 0", "agent", "retrying a NODE_UNREACHABLE"]);
  });

  it("end with the first token", async () => {
    const bench = await drainingBench();
    const { caller } = bench.start();
    bench.clock.advance(1_000);
    await bench.change("a", {});
    bench.transport.last.sends(chunkFrame());
    bench.clock.advance(60_000);
    expect(told(caller)).toEqual(["chunk"]);
  });
});

describe("two attempts at once", () => {
  it("are heard one at a time: the second only when the first has missed its time", () => {
    const bench = new DispatchBench({ hang: { quietSlotMs: 1_000, firstWordMs: 1_000 } });
    bench.attach("a", "b");
    const { caller } = bench.start();
    bench.clock.advance(3_000);
    expect(bench.transport.endpoints).toEqual(["a", "b"]);
    const [first, second] = bench.transport.attempts;
    first?.progress();
    second?.progress();
    expect(told(caller)).toHaveLength(1);
    bench.clock.advance(9_999);
    second?.progress();
    expect(told(caller)).toHaveLength(1);
    bench.clock.advance(1);
    second?.progress();
    expect(told(caller)).toHaveLength(2);
    first?.progress();
    expect(told(caller)).toHaveLength(2);
  });
});
