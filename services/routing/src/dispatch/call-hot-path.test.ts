import { expect, it } from "vitest";
import { DispatchBench, RecordingCaller } from "../testing/dispatch-bench.ts";
import { chunkFrame } from "../testing/frames.ts";
import type { AttemptListener } from "../transport/attempt.ts";
import { FrameScanner } from "../transport/frame-scanner.ts";

const MESSAGES = 20_000;
const ROUNDS = 20;

/** Recording would allocate. */
class CountingCaller extends RecordingCaller {
  writes = 0;

  override write(): boolean {
    this.writes++;
    return true;
  }
}

it("a message after the commit allocates nothing", () => {
  const bench = DispatchBench.of("a");
  let listener: AttemptListener | undefined;
  const open = bench.transport.open.bind(bench.transport);
  bench.transport.open = (request, heard) => {
    listener = heard;
    return open(request, heard);
  };
  const caller = new CountingCaller();
  const { call } = bench.start({}, caller);
  const bytes = chunkFrame("token");
  const scanner = new FrameScanner();
  const grownBytes: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.memoryUsage().heapUsed;
    for (let message = 0; message < MESSAGES; message++) {
      scanner.push(bytes);
      listener?.onMessages(bytes, scanner);
    }
    grownBytes.push(process.memoryUsage().heapUsed - before);
  }
  call.cancel();
  expect(caller.writes).toBe(ROUNDS * MESSAGES);
  // The least of all rounds: compilers allocate too, at times of their own. In a round with a collection it shrinks.
  const leastBytes = Math.min(...grownBytes.filter((bytes) => bytes >= 0));
  // The smallest object takes 12 bytes.
  expect(leastBytes / MESSAGES, grownBytes.join(", ")).toBeLessThan(2);
});
