/**
 * One inference call from its arrival to its end: checked, queued, granted a slot, answered, counted and logged. What differs
 * between Generate, Chat and Embed comes in as a plan.
 */
import type { HandlerContext } from "@connectrpc/connect";
import { abandonCall, DroverError, type Logger, META, toConnectError } from "@drover/platform";
import type { ModelDirectory } from "../models/model-directory.ts";
import type { OllamaWatch } from "../models/ollama-watch.ts";
import type { OllamaClient } from "../ollama/ollama-client.ts";
import { ollamaUnreachable } from "../ollama/ollama-error.ts";
import type { StreamLimits } from "../ollama/ollama-stream.ts";
import type { AdmissionQueue } from "../queue/admission-queue.ts";
import type { EntryStage, QueueEntry } from "../queue/queue-entry.ts";
import { runnerSpec } from "../queue/runner-key.ts";
import type { AttachedRouters } from "../status/attached-routers.ts";
import type { NodeCondition } from "../status/node-condition.ts";
import { type CallIdentity, CallScope, readIdentity } from "./call-scope.ts";
import { CallTelemetry, type CallTelemetryDeps } from "./call-telemetry.ts";
import { loggedError } from "./logged-error.ts";
import { nodeDraining } from "./node-draining.ts";
import { type Capability, checkCapabilities } from "./required-capabilities.ts";
import type { RunningCalls } from "./running-calls.ts";

export interface InferenceDeps extends CallTelemetryDeps {
  readonly log: Logger;
  readonly client: OllamaClient;
  readonly watch: OllamaWatch;
  readonly directory: ModelDirectory;
  readonly queue: AdmissionQueue;
  readonly condition: NodeCondition;
  readonly routers: AttachedRouters;
  readonly calls: RunningCalls;
  readonly limits: StreamLimits;
  /** The operator's --num-ctx. */
  readonly numCtx: number | undefined;
}

/** What a call is about, for messages and the log. */
export interface CallSubject {
  readonly method: "Generate" | "Chat" | "Embed";
  /** As the caller wrote it. */
  readonly model: string;
}

/** What a call asks for, read from its request before anything waits. */
export interface CallPlan {
  readonly capabilities: readonly Capability[];
  readonly runnerOptionsJson: string;
  /** What the call holds in memory while it waits. */
  readonly bodyBytes: number;
  /** The part of it that tells how long the prompt is; undefined when images make it no measure. */
  readonly promptBytes: number | undefined;
}

/** Without a limit of the caller's a place in the queue is kept this long: whoever waits longer is no longer there. */
const LONGEST_WAIT_MS = 30 * 60_000;

/** A queue or a load of which nothing is learned moves in seconds. */
const WAIT_RETRY_MS = 1_000;

export class InferenceCall {
  readonly deps: InferenceDeps;
  readonly subject: CallSubject;
  readonly scope: CallScope;
  readonly identity: CallIdentity;
  readonly telemetry: CallTelemetry;
  /** Model and node, for messages. */
  readonly name: string;
  readonly #context: HandlerContext;
  readonly #ended: () => void;
  #isEntered = false;
  #isEnded = false;

  constructor(deps: InferenceDeps, context: HandlerContext, subject: CallSubject) {
    this.deps = deps;
    this.#context = context;
    this.subject = subject;
    this.identity = readIdentity(context, deps.routers);
    this.name = `model "${subject.model}" on node "${deps.node.name}"`;
    this.scope = new CallScope(context, deps.clock, this.name);
    const { callId } = this.identity;
    const metadata = context.requestHeader;
    this.telemetry = new CallTelemetry(deps, { method: subject.method, callId, metadata });
    context.responseHeader.set(META.call, this.identity.callId);
    this.#ended = deps.calls.begin();
  }

  /** Checks the call and takes its place in the queue. Throws a DroverError for what cannot be served. */
  async enter(plan: CallPlan): Promise<QueueEntry> {
    const { deps } = this;
    const { model: name } = this.subject;
    try {
      this.#checkNode();
      if (!(await this.scope.race(deps.watch.isReachable()))) {
        throw ollamaUnreachable({ node: deps.node.name, model: name }, new Error("the last probe failed"));
      }
      const model = await this.scope.race(deps.directory.resolve(name));
      checkCapabilities(model, plan.capabilities, deps.node.name);
      const isEmbedding =
        model.capabilities?.includes("embedding") === true && !model.capabilities.includes("completion");
      const { weightsKey, sizeBytes, runnerOptionsJson: modelOptionsJson } = model;
      const optionsJson = plan.runnerOptionsJson;
      const spec = runnerSpec({
        ...{ weightsKey, sizeBytes, modelOptionsJson },
        ...{ model: model.name, optionsJson, isEmbedding },
      });
      // A drain may have begun while Ollama was asked; the queue of an agent that stops is closed and would hold the call.
      this.#refuseWhileDraining();
      const entry = deps.queue.enter(spec, plan.bodyBytes, {
        promptBytes: plan.promptBytes,
        longestWaitMs: Math.min(this.scope.leftMs, this.identity.maxWaitMs ?? LONGEST_WAIT_MS),
      });
      this.#holdPlace(entry);
      this.#isEntered = true;
      this.telemetry.entered(model.name, entry.stage().expectedMs);
      return entry;
    } finally {
      // In the same turn in which the queue counts it, or when it never will.
      this.#acknowledge();
    }
  }

  /** Ends the call once: trailers, and one line in the log, never with what was said. */
  end(error?: unknown): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#ended();
    this.scope.close();
    this.#setTrailers(error === undefined);
    // A caller that left without a word ends the generator without an error.
    const reason = this.reasonOf(error);
    this.telemetry.end({ error: reason, times: this.scope.times });
    this.#log(reason);
    // It was in our list, and Ollama has it no more: routers should know before the next reading.
    const isModelGone = reason instanceof DroverError && reason.kind === "node_lacks_model";
    if (isModelGone && this.#isEntered) void this.deps.directory.read();
  }

  /** Ends a call whose caller does not read, and with it a write that hangs; its trailers would not arrive. */
  abandon(reason: DroverError): void {
    this.end(reason);
    abandonCall(this.#context.values);
  }

  /** Why the call failed: what made it end, where it was made to, is the reason of all that broke afterwards. */
  reasonOf(error: unknown): unknown {
    return this.scope.signal.aborted ? this.scope.signal.reason : error;
  }

  /** The error as connect shall send it, with the id under which the router or the caller knows the call. */
  toConnectError(error: unknown): Error {
    const translated = toConnectError(error, { callId: this.identity.callId, log: this.deps.log });
    translated.metadata.set(META.call, this.identity.callId);
    return translated;
  }

  /** Tells its router, with the next status, that this call is in the load that it reads there. */
  #acknowledge(): void {
    const { router, send } = this.identity;
    if (router !== undefined && send !== undefined) this.deps.routers.acknowledge(router, send);
  }

  /** The call leaves the queue when it must end, or when it waited for too long. */
  #holdPlace(entry: QueueEntry): void {
    const { clock } = this.deps;
    this.scope.measureLoad(() => entry.loadMs());
    const withdraw = this.scope.onAbort((reason) => entry.leave(reason));
    const waitMs = this.identity.maxWaitMs ?? LONGEST_WAIT_MS;
    const timer = clock.after(waitMs, () => entry.leave(this.#waitExceeded(waitMs, entry.stage())));
    const settled = (): void => {
      timer.cancel();
      withdraw();
    };
    entry.slot.then(settled, settled);
  }

  #waitExceeded(waitMs: number, stage: EntryStage): DroverError {
    const { name } = this.deps.node;
    const message = `The call waited ${waitMs / 1000} s for model "${this.subject.model}" on node "${name}": ${this.scope.times.describe()}. Try again later, or allow more with drover-max-wait-ms.`;
    const facts = { model: this.subject.model, node: name };
    const expectedMs = stage.kind === "queued" ? stage.expectedMs : undefined;
    return new DroverError("wait_exceeded", message, { facts, retryAfterMs: expectedMs || WAIT_RETRY_MS });
  }

  #checkNode(): void {
    const { node } = this.deps;
    const { wantedNode } = this.identity;
    if (wantedNode !== undefined && wantedNode !== node.id && wantedNode !== node.name) {
      const message = `This is node "${node.name}", and the call asks for node "${wantedNode}" and no other. Ask the router for it.`;
      throw new DroverError("node_not_found", message, { facts: { node: node.name } });
    }
    this.#refuseWhileDraining();
  }

  #refuseWhileDraining(): void {
    const { condition, node } = this.deps;
    if (condition.isDraining) throw nodeDraining(node.name);
  }

  #setTrailers(isOk: boolean): void {
    const trailers = this.#context.responseTrailer;
    const { times } = this.scope;
    // An error carries it already, and connect would send both.
    if (isOk) trailers.set(META.call, this.identity.callId);
    trailers.set(META.node, headerSafe(this.deps.node.name));
    trailers.set(META.queueMs, String(Math.round(times.queueMs)));
    trailers.set(META.loadMs, String(Math.round(times.loadMs)));
    if (times.ttftMs !== undefined) trailers.set(META.ttftMs, String(Math.round(times.ttftMs)));
    const { counts } = this.telemetry;
    if (counts === undefined) return;
    trailers.set(META.promptTokens, String(counts.promptTokens));
    trailers.set(META.generatedTokens, String(counts.tokens));
  }

  #log(error: unknown): void {
    const { times } = this.scope;
    const fields = {
      call: this.identity.callId,
      node: this.deps.node.name,
      attempt: this.identity.attempt,
      router: this.identity.router?.name,
      method: this.subject.method,
      model: this.subject.model.slice(0, 200),
      queueMs: Math.round(times.queueMs),
      loadMs: Math.round(times.loadMs),
      ttftMs: times.ttftMs === undefined ? undefined : Math.round(times.ttftMs),
      totalMs: Math.round(times.totalMs),
    };
    if (error === undefined) return this.deps.log.info({ ...fields, status: "OK" }, "call");
    this.deps.log.info({ ...fields, ...loggedError(error) }, "call");
  }
}

/** Names are the operator's; headers hold printable ASCII. */
function headerSafe(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?");
}
