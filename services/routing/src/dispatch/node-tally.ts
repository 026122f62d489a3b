/**
 * What this router's attempts came to on each node, for ListNodes and WatchFleet. Counted when attempts end, from what the node
 * says in its trailers; nothing is read of the answers.
 */
import { DroverError, META, type Metadata, readSequence } from "@drover/platform";
import type { AttemptResult, AttemptTrace, CallObserver } from "./call-observer.ts";

export interface NodeTotals {
  readonly attempts: number;
  readonly failedAttempts: number;
  readonly promptTokens: number;
  readonly generatedTokens: number;
}

const NOTHING: NodeTotals = { attempts: 0, failedAttempts: 0, promptTokens: 0, generatedTokens: 0 };

export class NodeTally {
  /** By node id; never more than the fleet has and attempts run, by `retain`. */
  readonly #totals = new Map<string, NodeTotals>();

  of(nodeId: string): NodeTotals {
    return this.#totals.get(nodeId) ?? NOTHING;
  }

  /** Forgets nodes that left the fleet. */
  retain(nodes: ReadonlyMap<string, unknown>): void {
    for (const id of this.#totals.keys()) if (!nodes.has(id)) this.#totals.delete(id);
  }

  /** Counts what passes `observer`. */
  around(observer: CallObserver): CallObserver {
    return {
      callBegan: (request) => {
        const call = observer.callBegan(request);
        return {
          attemptBegan: (number, node) => this.#counted(node.id, call.attemptBegan(number, node)),
          callEnded: (report) => call.callEnded(report),
        };
      },
    };
  }

  #counted(nodeId: string, attempt: AttemptTrace): AttemptTrace {
    return {
      headers: attempt.headers,
      attemptHung: (hang) => attempt.attemptHung(hang),
      attemptEnded: (result, trailers) => {
        this.#add(nodeId, result, trailers);
        attempt.attemptEnded(result, trailers);
      },
    };
  }

  #add(nodeId: string, result: AttemptResult, trailers: Metadata): void {
    const before = this.of(nodeId);
    this.#totals.set(nodeId, {
      attempts: before.attempts + 1,
      failedAttempts: before.failedAttempts + (result instanceof DroverError ? 1 : 0),
      promptTokens: before.promptTokens + countOf(trailers, META.promptTokens),
      generatedTokens: before.generatedTokens + countOf(trailers, META.generatedTokens),
    });
  }
}

/** What a node says wrongly counts for nothing: it must not break a call that has ended. */
function countOf(trailers: Metadata, key: string): number {
  try {
    return readSequence(trailers, key) ?? 0;
  } catch {
    return 0;
  }
}
