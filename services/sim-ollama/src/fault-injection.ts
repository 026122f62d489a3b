/** Makes the faults happen that end or stop an answer. Which of them apply is said by faults.ts. */
import type { CompletionEvent } from "./completion.ts";
import type { BreakFault } from "./faults.ts";
import { errorTexts, OllamaError } from "./ollama-error.ts";
import type { Exchange } from "./simulation.ts";

export interface BreakHands {
  readonly exchange: Exchange;
  readonly killRunner: () => void;
  readonly crash: () => void;
}

/** Lets `afterChunks` pieces of text pass, then breaks; an answer that is shorter breaks where `done` would be. */
export async function* breakEvents(
  events: AsyncGenerator<CompletionEvent>,
  fault: BreakFault | undefined,
  hands: BreakHands,
): AsyncGenerator<CompletionEvent> {
  let chunks = 0;
  for await (const event of events) {
    if (fault !== undefined && (chunks >= fault.afterChunks || event.kind === "done")) {
      await performBreak(fault, hands, chunks > 0 ? errorTexts.runnerDiedMidStream : errorTexts.runnerStopped);
      return;
    }
    chunks += 1;
    yield event;
  }
}

/** Resolves only for an answer that just ends; `crashText` is what a caller hears when the runner dies. */
export async function performBreak(
  fault: BreakFault,
  hands: BreakHands,
  crashText: string,
  crashStatus = 500,
): Promise<void> {
  const { reply, record } = hands.exchange;
  switch (fault.kind) {
    case "cut":
      reply.reset();
      throw new OllamaError(499, errorTexts.canceled);
    case "stream-error":
      record.end("fault", 200);
      throw new OllamaError(500, fault.message ?? errorTexts.runnerDiedMidStream);
    case "end-without-done":
      return record.end("fault", 200);
    case "hang":
      await aborted(reply.signal);
      throw new OllamaError(499, errorTexts.canceled);
    case "runner-crash":
      record.end("fault", reply.hasStarted() ? 200 : crashStatus);
      hands.killRunner();
      throw new OllamaError(crashStatus, crashText);
    case "crash":
      hands.crash();
      throw new OllamaError(499, errorTexts.canceled);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
