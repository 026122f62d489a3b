/** Embed: waits for a slot, asks Ollama once, answers with all vectors together. */
import type { HandlerContext } from "@connectrpc/connect";
import { DroverError, type EndingKind } from "@drover/platform";
import type { EmbedRequest, EmbedResponse } from "@drover/proto/drover/inference/v1/inference_pb";
import { embedCounts, type OllamaCounts } from "../ollama/ollama-counts.ts";
import { type EmbedAnswer, embedOnce } from "../ollama/ollama-embed.ts";
import { ollamaOptions } from "../ollama/ollama-options.ts";
import { toEmbedResponse } from "../ollama/ollama-to-response.ts";
import { embedBody, isZero, runnerOptionsOf } from "../ollama/request-to-ollama.ts";
import type { Slot } from "../queue/slots.ts";
import { withContextLength } from "./context-limit.ts";
import { InferenceCall, type InferenceDeps } from "./inference-call.ts";

export async function embedCall(
  deps: InferenceDeps,
  context: HandlerContext,
  request: EmbedRequest,
): Promise<EmbedResponse> {
  const call = new InferenceCall(deps, context, { method: "Embed", model: request.model });
  let failure: unknown;
  try {
    const options = ollamaOptions(request.options, deps.numCtx);
    const isUnloadWanted = isZero(request.keepAlive);
    const body = (isKeepAliveTold: boolean): string =>
      embedBody(request, { options, keepAlive: isKeepAliveTold ? request.keepAlive : undefined });
    // Written once before anything waits, so that a wrong request is refused at once.
    const wholeBody = body(true);
    const runnerOptionsJson = runnerOptionsOf(options, request);
    const entry = await call.enter({
      capabilities: ["embedding"],
      runnerOptionsJson,
      bodyBytes: Buffer.byteLength(wholeBody),
      promptBytes: Buffer.byteLength(wholeBody),
    });
    const slot = await entry.slot;
    if (call.scope.signal.aborted) slot.release();
    call.scope.signal.throwIfAborted();
    call.scope.times.granted();
    const isUnloading = isUnloadWanted && !slot.isShared();
    let counts: OllamaCounts | undefined;
    call.telemetry.granted(slot.expectedPrefillMs(), () => counts);
    const answer = await holding(slot, isUnloading, () =>
      ask(call, isUnloading || !isUnloadWanted ? wholeBody : body(false)),
    );
    call.scope.times.firstToken(deps.clock.nowMs());
    counts = embedCounts(answer.object);
    return toEmbedResponse(answer.object, answer.text, deps.node.name);
  } catch (error) {
    failure = call.reasonOf(error);
    throw call.toConnectError(failure);
  } finally {
    call.end(failure);
  }
}

function ask(call: InferenceCall, body: string): Promise<EmbedAnswer> {
  const { client, limits, node } = call.deps;
  const { signal } = call.scope;
  const timeoutMs = limits.firstTokenTimeoutMs;
  const headers = call.telemetry.traceHeaders();
  return embedOnce(client, { node: node.name, model: call.subject.model, body, headers, timeoutMs, signal });
}

/** The ways in which we close Ollama's socket before it has answered. */
const ENDED_BY_US: ReadonlySet<EndingKind> = new Set([
  "cancelled",
  "deadline_exceeded",
  "first_token_timeout",
  "node_draining",
]);

/** Gives the slot back when Ollama is no longer busy with `work`, however it ended. */
async function holding(slot: Slot, isUnloading: boolean, work: () => Promise<EmbedAnswer>): Promise<EmbedAnswer> {
  let isRunnerGone = isUnloading;
  let counts: OllamaCounts | undefined;
  let isCut = false;
  try {
    const answer = await work();
    counts = embedCounts(answer.object);
    return answer;
  } catch (error) {
    const kind = error instanceof DroverError ? error.kind : undefined;
    isRunnerGone ||= kind === "runner_crashed" || kind === "ollama_unreachable";
    isCut = kind !== undefined && ENDED_BY_US.has(kind);
    throw withContextLength(error, slot.contextLength());
  } finally {
    slot.release({ isRunnerGone, counts, isCut });
  }
}
