/**
 * From the moment a caller leaves until nothing works or waits for it any more, through router and agent: the time that a GPU
 * works for nobody, or that a place is taken by nobody.
 *
 * The clocks. Callers and simulated Ollamas run in this process: closed sockets and first tokens are read on its monotonic clock at
 * both ends. When a place is free the log of the router or the agent says, by the machine's wall clock in whole milliseconds, and
 * one is added; the call gives its place up in the turn in which it writes the line, so nobody has to be asked. The baseline of
 * both is a bare TCP disconnect through two processes that only relay, once in each round. It and the last figure, how late this
 * process itself was, tell what the machine adds. A slot's baseline is what is expected: a first token on a free slot, and after a
 * cancel in the prefill what was left of it, since Ollama 0.24 reads a prompt to its end.
 */
import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Figure } from "../figure.ts";
import { placeFigures } from "./place-cases.ts";
import { slotFigures } from "./slot-cases.ts";
import { socketFigures } from "./socket-cases.ts";
import { openStage } from "./stage.ts";

const NANOSECONDS_PER_MS = 1e6;

export async function* benchCancel(): AsyncGenerator<Figure> {
  const stage = await openStage();
  // Each sample waits for a timer of 1 ms.
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  try {
    yield* socketFigures(stage);
    yield* placeFigures(stage);
    yield* slotFigures(stage);
    yield {
      name: "this process's event loop late, p99",
      value: delay.percentile(99) / NANOSECONDS_PER_MS - 1,
      unit: "ms",
    };
  } finally {
    await stage.close();
  }
}
