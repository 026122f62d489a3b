import { createLogger } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { DispatchBench, NOTHING_LEFT } from "../testing/dispatch-bench.ts";

function boom(): never {
  throw new Error("boom at /srv/secret/path");
}

describe("an error that nobody expected", () => {
  it("in the picker ends the call as INTERNAL, once", () => {
    const bench = new DispatchBench({ picker: () => ({ pick: boom, pickFree: boom, hasCandidate: boom, rank: boom }) });
    bench.attach("a");
    const { caller, body } = bench.start({ id: "call-9", timeoutMs: 1_000 });
    expect(caller.outcome).toBe("internal");
    expect(caller.message).toBe("Drover failed on this call; its log says why. Call call-9.");
    expect(body.isReleased).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("in the picker, for a call that waits, ends that call and no other", async () => {
    let isBroken = false;
    const bench = new DispatchBench({
      picker: (own) => ({
        ...own,
        pick: (request, snapshot) =>
          isBroken && request.profile.session === "x" ? boom() : own.pick(request, snapshot),
      }),
    });
    bench.attach("a");
    await bench.change("a", { condition: { isDraining: true } });
    const broken = bench.start({ profile: { ...bench.profile, session: "x" } });
    const sound = bench.start();
    isBroken = true;
    await bench.change("a", {});
    expect(broken.caller.outcome).toBe("internal");
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(sound.caller.outcome).toBe("OK");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("in the transport gives the lease back", () => {
    const bench = DispatchBench.of("a");
    bench.transport.failure = new Error("boom");
    const { caller } = bench.start();
    expect(caller.outcome).toBe("internal");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("in the caller's write stops the node", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start();
    caller.onWrite = boom;
    bench.transport.last.chunk();
    expect(bench.transport.last.isCancelled).toBe(true);
    expect(caller.outcome).toBe("internal");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("in the caller's write of a unary answer ends the call", () => {
    const bench = DispatchBench.of("a");
    const { caller } = bench.start({ isUnary: true });
    caller.onWrite = boom;
    bench.transport.last.unaryAnswer();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("internal");
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("in the caller's end happens after all was given back, and is not repeated", () => {
    const bench = DispatchBench.of("a");
    const { caller, body } = bench.start();
    caller.onEnd = boom;
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(caller.outcome).toBe("OK");
    expect(body.isReleased).toBe(true);
    expect(bench.leftovers).toEqual(NOTHING_LEFT);
  });

  it("stands in the log with its cause, and not in the caller's message", () => {
    const lines: string[] = [];
    const log = createLogger({ name: "test", destination: { write: (line) => lines.push(line) } });
    const bench = new DispatchBench({
      log,
      picker: () => ({ pick: boom, pickFree: boom, hasCandidate: boom, rank: boom }),
    });
    bench.attach("a");
    const { caller } = bench.start();
    expect(caller.message).not.toContain("boom");
    expect(lines.some((line) => line.includes("boom at /srv/secret/path"))).toBe(true);
  });
});
