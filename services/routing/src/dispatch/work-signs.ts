/**
 * What is known of an attempt's work before its first token: from the progress that its agent sends, and for Embed, which has
 * none, from the node's status.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { ChatResponseSchema, type Progress } from "@drover/proto/drover/inference/v1/inference_pb";
import type { NodeView } from "../fleet/node-view.ts";
import { messagesOf, PROGRESS_TAG } from "../transport/frame-scanner.ts";
import type { WorkSign } from "./hang-watch.ts";

const WAITS: WorkSign = { kind: "waits" };

/**
 * The last word in `frames`, whole messages of a token stream before its commit. Progress has the same place in the answers of
 * Chat and Generate, so either reads both. Undefined: no progress, or none that can be read.
 */
export function lastProgress(frames: Uint8Array): Progress | undefined {
  let last: Progress | undefined;
  for (const message of messagesOf(frames)) if (message[0] === PROGRESS_TAG) last = readProgress(message) ?? last;
  return last;
}

function readProgress(message: Uint8Array): Progress | undefined {
  try {
    const { event } = fromBinary(ChatResponseSchema, message);
    return event.case === "progress" ? event.value : undefined;
  } catch {
    return undefined;
  }
}

/** What a newer agent may say is at least a word. */
export function signOf({ kind }: Progress): WorkSign {
  if (kind.case !== "prefill") return WAITS;
  return { kind: "reads", elapsedMs: ms(kind.value.elapsed), expectedMs: ms(kind.value.expected) };
}

const ms = (duration: Duration | undefined): number => (duration === undefined ? 0 : durationMs(duration));

/** While a node has learned nothing: as its agent guesses, a small model on a few cores. */
const PRIOR_TOKENS_PER_SECOND = 100;
const BYTES_PER_TOKEN = 4;

/** Follows one attempt of a unary call. */
export class StatusSigns {
  readonly #modelKey: string;
  readonly #bodyBytes: number;
  /** Since when the node could have been at work on it. */
  #sinceMs: number | undefined;

  constructor(modelKey: string, bodyBytes: number) {
    this.#modelKey = modelKey;
    this.#bodyBytes = bodyBytes;
  }

  /** `node` undefined: it has left the fleet, and nothing is known. */
  look(node: NodeView | undefined, nowMs: number, wasPaused: boolean): WorkSign {
    const runners = node?.runners.get(this.#modelKey) ?? [];
    const isReady = runners.length > 0 && runners.every(({ state }) => state === "loaded");
    // Which of the runners and places in the queue are this call's cannot be seen: it is given the benefit of the doubt.
    if (wasPaused || !isReady || node === undefined || node.queued > 0) {
      this.#sinceMs = undefined;
      return WAITS;
    }
    this.#sinceMs ??= nowMs;
    const tokensPerSecond = Math.min(
      ...runners.map((runner) => runner.prefillTokensPerSecond ?? PRIOR_TOKENS_PER_SECOND),
    );
    const expectedMs = (this.#bodyBytes / BYTES_PER_TOKEN / tokensPerSecond) * 1_000;
    return { kind: "reads", elapsedMs: nowMs - this.#sinceMs, expectedMs };
  }
}
