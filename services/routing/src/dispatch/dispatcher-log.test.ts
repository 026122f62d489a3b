import { createLogger } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { DispatchBench } from "../testing/dispatch-bench.ts";

function loggedBench(): { bench: DispatchBench; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) };
  const bench = new DispatchBench({ log: createLogger({ name: "test", destination }) });
  bench.attach("a");
  return { bench, lines };
}

describe("the log of a call", () => {
  it("is one line with model, node, attempts and times", () => {
    const { bench, lines } = loggedBench();
    bench.start({ id: "call-7" });
    bench.clock.advance(250);
    bench.transport.last.done();
    bench.transport.last.ok();
    expect(lines).toEqual([
      expect.objectContaining({
        msg: "call",
        status: "OK",
        call: "call-7",
        path: "/drover.inference.v1.InferenceService/Chat",
        model: "llama3.2:1b",
        node: "a",
        attempts: 1,
        waitedMs: 0,
        firstTokenMs: 250,
        totalMs: 250,
      }),
    ]);
  });

  it("names the cause of a failure, which the caller never sees", () => {
    const { bench, lines } = loggedBench();
    bench.start({ maxWaitMs: 0 });
    bench.transport.last.breaks();
    expect(lines.at(-1)).toMatchObject({
      reason: "NODE_UNREACHABLE",
      status: "UNAVAILABLE",
      cause: "ECONNRESET 10.0.0.7",
    });
  });

  it("does not repeat Ollama's words about what the caller said", () => {
    const { bench, lines } = loggedBench();
    const { caller } = bench.start();
    bench.transport.last.fails("request_rejected", 'Ollama on node "a" refuses it. Ollama: hunter2');
    expect(caller.message).toContain("hunter2");
    expect(lines.at(-1)).toMatchObject({ reason: "REQUEST_REJECTED", message: 'Ollama on node "a" refuses it.' });
    expect(JSON.stringify(lines)).not.toContain("hunter2");
  });

  it("does not repeat them when they come after the first token", () => {
    const { bench, lines } = loggedBench();
    const { caller } = bench.start();
    bench.transport.last.chunk();
    bench.transport.last.fails("stream_broken", 'Ollama on node "a" broke off after 1 chunk. Ollama: hunter2');
    expect(caller.message).toContain("hunter2");
    expect(lines.at(-1)).toMatchObject({
      reason: "STREAM_BROKEN",
      cause: 'Ollama on node "a" broke off after 1 chunk.',
    });
    expect(JSON.stringify(lines)).not.toContain("hunter2");
  });

  it("tells a call that its caller left", () => {
    const { bench, lines } = loggedBench();
    bench.start().call.cancel();
    expect(lines).toEqual([expect.objectContaining({ reason: "CANCELLED", status: "CANCELLED" })]);
  });
});
