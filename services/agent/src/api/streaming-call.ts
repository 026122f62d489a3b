/**
 * Generate and Chat: waits for a slot, then passes Ollama's lines on as they come, with words of progress while there are none.
 */
import type { HandlerContext } from "@connectrpc/connect";
import { DroverError } from "@drover/platform";
import type { Progress } from "@drover/proto/drover/inference/v1/inference_pb";
import type { OllamaLine } from "../ollama/ollama-line.ts";
import { OllamaStream, type StreamRequest } from "../ollama/ollama-stream.ts";
import type { Origin } from "../ollama/ollama-to-response.ts";
import type { QueueEntry } from "../queue/queue-entry.ts";
import type { Slot } from "../queue/slots.ts";
import { withContextLength } from "./context-limit.ts";
import { type CallPlan, type CallSubject, InferenceCall, type InferenceDeps } from "./inference-call.ts";
import { createProgressPacer, type ProgressPacer } from "./progress-pacer.ts";
import { prefillProgress, waitingProgress } from "./progress-words.ts";

export interface StreamPlan extends CallPlan {
  readonly path: StreamRequest["path"];
  /** The caller wants the model unloaded afterwards (keep_alive 0). */
  readonly isUnloadWanted: boolean;
  /** The body for Ollama; without the caller's keep_alive when that must not have its way. */
  readonly body: (isKeepAliveTold: boolean) => string;
}

/** A method of the service: what it is about, what it asks Ollama, and how it words what happens. */
export interface StreamMethod<Response> {
  readonly subject: CallSubject;
  /** Throws a DroverError when the request itself is wrong. */
  readonly plan: () => StreamPlan;
  readonly progress: (progress: Progress) => Response;
  readonly chunk: (line: OllamaLine) => Response;
  readonly done: (line: OllamaLine, origin: Origin) => Response;
}

interface Running {
  readonly stream: OllamaStream;
  readonly slot: Slot;
}

export async function* streamCall<Response>(
  deps: InferenceDeps,
  context: HandlerContext,
  method: StreamMethod<Response>,
): AsyncGenerator<Response> {
  const call = new InferenceCall(deps, context, method.subject);
  const pacer = createProgressPacer(deps.clock, call.identity.isProgressTold);
  let failure: unknown;
  try {
    const plan = method.plan();
    const entry = await call.enter(plan);
    const starting = quiet(startWhenGranted(call, plan, entry));
    while ((await pacer.wait(starting)) === "due") yield method.progress(waitingProgress(entry.stage()));
    yield* answer(call, method, await starting, pacer);
  } catch (error) {
    failure = call.reasonOf(error);
    throw call.toConnectError(failure);
  } finally {
    call.end(failure);
  }
}

/**
 * Starts Ollama the moment the slot is granted, even while our last progress message is still being written, and gives the
 * slot back when Ollama's socket is closed, even while the caller still reads.
 */
async function startWhenGranted(call: InferenceCall, plan: StreamPlan, entry: QueueEntry): Promise<Running> {
  const { client, clock, limits, log, node } = call.deps;
  const slot = await entry.slot;
  call.scope.times.granted();
  const isUnloading = plan.isUnloadWanted && !slot.isShared();
  let stream: OllamaStream;
  try {
    call.scope.signal.throwIfAborted();
    const body = plan.body(isUnloading || !plan.isUnloadWanted);
    stream = new OllamaStream(client, clock, limits, {
      node: node.name,
      model: call.subject.model,
      path: plan.path,
      body,
      headers: call.telemetry.traceHeaders(),
      onFirstLine: () => slot.firstToken(),
    });
    call.telemetry.granted(slot.expectedPrefillMs(), () => stream.counts);
  } catch (error) {
    slot.release();
    throw error;
  }
  const withdraw = call.scope.onAbort((reason) => {
    stream.abort(reason);
    // The generator may hang in a write that nobody reads; the call is over all the same.
    call.end(reason);
  });
  const free = (error: DroverError | undefined): void => {
    withdraw();
    if (error?.kind === "caller_stalled") call.abandon(error);
    const isCrashed = error?.kind === "runner_crashed" || error?.kind === "ollama_unreachable";
    slot.release({ isRunnerGone: isUnloading || isCrashed, counts: stream.counts, isCut: stream.isCut });
  };
  stream.closed.then(free).catch((err: unknown) => log.error({ err }, "a slot could not be given back"));
  return { stream, slot };
}

async function* answer<Response>(
  call: InferenceCall,
  method: StreamMethod<Response>,
  { stream, slot }: Running,
  pacer: ProgressPacer,
): AsyncGenerator<Response> {
  const { clock, node } = call.deps;
  const startedAtMs = clock.nowMs();
  const expectedMs = slot.expectedPrefillMs();
  pacer.changed();
  try {
    let next = quiet(stream.next());
    while ((await pacer.wait(next)) === "due") {
      yield method.progress(prefillProgress(clock.nowMs() - startedAtMs, expectedMs));
    }
    for (let line = await next; line !== undefined; line = await next) {
      call.scope.times.firstToken(stream.firstLineAtMs ?? clock.nowMs());
      if (line.kind === "chunk") yield method.chunk(line);
      else yield method.done(line, { node: node.name, contextLength: slot.contextLength() });
      next = quiet(stream.next());
    }
  } catch (error) {
    throw withContextLength(error, slot.contextLength());
  } finally {
    // Nobody reads any more, and Ollama has not finished: its socket is closed at once.
    if (!stream.isDone) stream.abort(new DroverError("cancelled", `The caller left the call for ${call.name}.`));
  }
}

/** Its failure is met by whoever waits for it; when nobody waits any more it is no news. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
