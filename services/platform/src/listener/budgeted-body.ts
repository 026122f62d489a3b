/** Counts a request's body against the budget that all running requests share, until the call has ended. */
import type { UniversalServerRequest } from "@connectrpc/connect/protocol";
import type { ByteBudget } from "../byte-budget.ts";
import { DroverError } from "../drover-error.ts";
import { toConnectError } from "../grpc-status.ts";

type Body = UniversalServerRequest["body"];

/** A try after this long is likely to find room: bodies are held as long as calls run. */
const RETRY_AFTER_MS = 1000;

export interface BudgetedBody {
  readonly chunks: Body;
  /** Gives back what the body took; the call is over. */
  readonly release: () => void;
}

/** `body` as it is where there is no budget. The chunks end with RESOURCE_EXHAUSTED when the budget is spent. */
export function budgeted(body: Body, budget: ByteBudget | undefined): BudgetedBody {
  if (budget === undefined || !isByteStream(body)) return { chunks: body, release: () => undefined };
  let held = 0;
  let isOver = false;
  const release = (): void => {
    isOver = true;
    budget.give(held);
    held = 0;
  };
  async function* counted(chunks: AsyncIterable<Uint8Array>, shared: ByteBudget): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      // Nobody would give back what comes after the call.
      if (isOver) return;
      if (!shared.tryTake(chunk.byteLength)) throw spent(shared.limit);
      held += chunk.byteLength;
      yield chunk;
    }
  }
  return { chunks: counted(body, budget), release };
}

function isByteStream(body: Body): body is AsyncIterable<Uint8Array> {
  return typeof body === "object" && body !== null && Symbol.asyncIterator in body;
}

function spent(limit: number): Error {
  const mebibytes = Math.floor(limit / 1024 / 1024);
  const message = `This Drover holds as many bytes of requests as it may (${mebibytes} MiB); try again, or send smaller images.`;
  return toConnectError(new DroverError("overloaded", message, { retryAfterMs: RETRY_AFTER_MS }));
}
