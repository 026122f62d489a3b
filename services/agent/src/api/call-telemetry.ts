/**
 * What one inference call leaves in metrics and traces: its duration, its parts, Ollama's counts. Everything is written when the
 * call ends; nothing happens per token.
 */
import {
  type BoundedValues,
  CallSpan,
  type Clock,
  DroverError,
  genAiAttributes,
  type MetadataSource,
  rpcAttributes,
  type Telemetry,
} from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import type { OllamaCounts } from "../ollama/ollama-counts.ts";
import type { CallTimes } from "./call-times.ts";

export interface CallTelemetryDeps {
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  /** Models that metrics tell apart. */
  readonly modelLabels: BoundedValues;
  readonly node: { readonly id: string; readonly name: string };
}

export interface CallFacts {
  readonly method: "Generate" | "Chat" | "Embed";
  readonly callId: string;
  readonly metadata: MetadataSource;
}

export interface CallEnd {
  readonly error: unknown;
  readonly times: CallTimes;
}

export class CallTelemetry {
  readonly #deps: CallTelemetryDeps;
  readonly #facts: CallFacts;
  readonly #path: string;
  readonly #span: CallSpan | undefined;
  readonly #startedWallMs: number;
  /** Undefined until the model is known to lie on this node: what callers make up is not told apart. */
  #model: string | undefined;
  #predictedMs: number | undefined;
  #counts: () => OllamaCounts | undefined = () => undefined;

  constructor(deps: CallTelemetryDeps, facts: CallFacts) {
    this.#deps = deps;
    this.#facts = facts;
    this.#path = `${InferenceService.typeName}/${facts.method}`;
    this.#startedWallMs = deps.clock.wallMs();
    const { node } = deps;
    this.#span = CallSpan.begin(deps.telemetry.tracer, this.#path, facts.metadata, {
      "drover.call": facts.callId,
      "drover.node": node.name,
      "drover.node.id": node.id,
    });
  }

  /** The call has its place in the queue. `predictedMs`: until its slot, undefined where nothing is learned. */
  entered(model: string, predictedMs: number | undefined): void {
    this.#model = this.#deps.modelLabels.of(model);
    this.#predictedMs = predictedMs;
  }

  /** The slot is granted; `prefillMs` is what reading the prompt should take, and `counts` will tell what Ollama counted. */
  granted(prefillMs: number, counts: () => OllamaCounts | undefined): void {
    if (this.#predictedMs !== undefined) this.#predictedMs += prefillMs;
    this.#counts = counts;
  }

  /** What Ollama counted; undefined while its answer is not complete. */
  get counts(): OllamaCounts | undefined {
    return this.#counts();
  }

  /** traceparent and its kin for Ollama's HTTP request: Ollama ignores them, a proxy before it may not. */
  traceHeaders(): Readonly<Record<string, string>> {
    return this.#span?.headers() ?? {};
  }

  end({ error, times }: CallEnd): void {
    const failure = error === undefined || error instanceof DroverError ? error : new DroverError("internal", "");
    this.#record(failure, times);
    this.#traceParts(times);
    this.#span?.set(this.#model === undefined ? {} : genAiAttributes(this.#facts.method, this.#model));
    this.#span?.end(failure);
  }

  #record(error: DroverError | undefined, times: CallTimes): void {
    const { telemetry } = this.#deps;
    const rpc = rpcAttributes(this.#path, error);
    telemetry.record("rpcServerCallDuration", times.totalMs / 1000, rpc);
    if (this.#model === undefined) return;
    const genAi = genAiAttributes(this.#facts.method, this.#model);
    const model = { "gen_ai.request.model": this.#model };
    const type = rpc["error.type"];
    const failed = type === undefined ? {} : { "error.type": type };
    telemetry.record("requestDuration", times.totalMs / 1000, { ...genAi, ...failed });
    telemetry.record("queueWait", times.queueMs / 1000, model);
    if (times.loadMs > 0) telemetry.record("loadDuration", times.loadMs / 1000, model);
    if (times.ttftMs === undefined) return;
    telemetry.record("timeToFirstToken", times.ttftMs / 1000, genAi);
    if (this.#predictedMs !== undefined) telemetry.record("predictedTimeToFirstToken", this.#predictedMs / 1000, model);
    this.#recordCounts(this.#counts(), genAi);
  }

  #recordCounts(counts: OllamaCounts | undefined, genAi: ReturnType<typeof genAiAttributes>): void {
    if (counts === undefined) return;
    const { telemetry } = this.#deps;
    const { promptTokens, tokens, decodeMs } = counts;
    const model = { "gen_ai.request.model": genAi["gen_ai.request.model"] ?? "" };
    telemetry.add("tokens", promptTokens, { ...model, "gen_ai.token.type": "input" });
    if (tokens > 0) telemetry.add("tokens", tokens, { ...model, "gen_ai.token.type": "output" });
    if (tokens > 1) telemetry.record("timePerOutputToken", decodeMs / tokens / 1000, genAi);
  }

  /** One after the other as most calls go through them; a load within the wait for a slot stands at its end. */
  #traceParts({ queueMs, loadMs, prefillMs, decodeMs }: CallTimes): void {
    if (this.#span === undefined) return;
    let atMs = this.#startedWallMs;
    for (const [name, ms] of Object.entries({ queue: queueMs, load: loadMs, prefill: prefillMs, decode: decodeMs })) {
      this.#span.past(name, atMs, atMs + ms);
      atMs += ms;
    }
  }
}
