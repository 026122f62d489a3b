/**
 * What a call leaves in the router's metrics and traces: one span for the call, one for each attempt, durations and outcomes when
 * they end. It knows dispatch by its reports alone.
 */
import {
  BoundedValues,
  CallSpan,
  type Clock,
  DroverError,
  genAiAttributes,
  OTHER,
  reasonOf,
  rpcAttributes,
  type Telemetry,
} from "@drover/platform";
import type {
  AttemptResult,
  AttemptTrace,
  CallObserver,
  CallReport,
  CallRequest,
  CallTrace,
  NodeView,
} from "@drover/routing";

export interface CallTelemetryOptions {
  readonly telemetry: Telemetry;
  readonly clock: Clock;
}

/** One per router: it remembers which models and nodes metrics tell apart. */
export function createCallTelemetry(options: CallTelemetryOptions): CallObserver {
  const labels: Labels = { models: new BoundedValues(), nodes: new BoundedValues() };
  return { callBegan: (request) => new TracedCall(options, labels, request) };
}

interface Labels {
  readonly models: BoundedValues;
  readonly nodes: BoundedValues;
}

class TracedCall implements CallTrace {
  readonly #options: CallTelemetryOptions;
  readonly #labels: Labels;
  readonly #span: CallSpan | undefined;
  readonly #startedWallMs: number;
  readonly #requestBytes: number;

  constructor(options: CallTelemetryOptions, labels: Labels, request: CallRequest) {
    this.#options = options;
    this.#labels = labels;
    this.#startedWallMs = options.clock.wallMs();
    // Now: the body is given back as soon as no attempt needs it.
    this.#requestBytes = request.body.bytes.length;
    const { tracer } = options.telemetry;
    this.#span = CallSpan.begin(tracer, request.path.slice(1), request.headers, { "drover.call": request.id });
  }

  attemptBegan(number: number, node: NodeView): AttemptTrace {
    const attributes = { "drover.attempt": number, "drover.node": node.name, "drover.node.id": node.id };
    const span = this.#span?.child("attempt", "client", attributes);
    return {
      headers: span?.headers() ?? {},
      attemptHung: (hang) => {
        this.#options.telemetry.add("hungAttempts", 1, { "drover.node": this.#labels.nodes.of(node.name), hang });
        span?.set({ "drover.hang": hang });
      },
      attemptEnded: (result) => {
        const outcome = outcomeOf(result);
        this.#options.telemetry.add("attempts", 1, { "drover.node": this.#labels.nodes.of(node.name), outcome });
        span?.set({ outcome });
        span?.end(result instanceof DroverError ? result : undefined);
      },
    };
  }

  callEnded(report: CallReport): void {
    const { request, error, node, attempts, times } = report;
    const rpc = rpcAttributes(request.path, error);
    // The node's own name for it: what a caller wrote may be made up.
    const model = node?.models.get(request.profile.modelKey)?.name;
    const genAi = genAiAttributes(request.path.slice(request.path.lastIndexOf("/") + 1), this.#labelOf(model));
    this.#record(report, rpc, genAi);
    if (this.#span === undefined) return;
    const { waitedMs } = times;
    this.#span.past("wait for a node", this.#startedWallMs, this.#startedWallMs + waitedMs);
    this.#span.set({ ...rpc, ...genAi, "drover.attempts": attempts });
    this.#span.end(error);
  }

  #labelOf(model: string | undefined): string {
    return model === undefined ? OTHER : this.#labels.models.of(model);
  }

  #record({ error, times, answerBytes }: CallReport, rpc: Attributes, genAi: Attributes): void {
    const { telemetry } = this.#options;
    const seconds = times.totalMs / 1000;
    telemetry.record("rpcServerCallDuration", seconds, rpc);
    const failed = error === undefined ? {} : { "error.type": reasonOf(error.kind) };
    telemetry.record("requestDuration", seconds, { ...genAi, ...failed });
    if (times.firstTokenMs !== undefined) telemetry.record("timeToFirstToken", times.firstTokenMs / 1000, genAi);
    if (times.waitedMs > 0) {
      telemetry.record("callWait", times.waitedMs / 1000, {
        outcome: error === undefined ? "ok" : reasonOf(error.kind),
      });
    }
    telemetry.add("relayBytes", this.#requestBytes, { direction: "in" });
    telemetry.add("relayBytes", answerBytes, { direction: "out" });
  }
}

type Attributes = ReturnType<typeof rpcAttributes>;

function outcomeOf(result: AttemptResult): string {
  return result instanceof DroverError ? reasonOf(result.kind) : result;
}
