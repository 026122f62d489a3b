/**
 * Spans of a call and of its parts, and the W3C context that goes with it from hop to hop. Where nobody takes traces there are
 * none, and whoever would make one holds undefined.
 */
import {
  type Attributes,
  type Context,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { DroverError } from "../drover-error.ts";
import { reasonOf } from "../endings.ts";
import { loggedMessage } from "../logged-message.ts";
import { type MetadataSource, readMetadata } from "../metadata.ts";

export type SpanRole = "server" | "client" | "internal";

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL } as const;

const METADATA: TextMapGetter<MetadataSource> = {
  get: (source, key) => readMetadata(source, key),
  keys: (source) => (source instanceof Headers ? [...source.keys()] : Object.keys(source)),
};

export class CallSpan {
  readonly #tracer: Tracer;
  readonly #span: Span;
  readonly #context: Context;

  private constructor(tracer: Tracer, span: Span, parent: Context) {
    this.#tracer = tracer;
    this.#span = span;
    this.#context = trace.setSpan(parent, span);
  }

  /** The span of a call that has just arrived, below the caller's own where its metadata names one. */
  static begin(
    tracer: Tracer | undefined,
    name: string,
    metadata: MetadataSource,
    attributes: Attributes,
  ): CallSpan | undefined {
    if (tracer === undefined) return undefined;
    const parent = propagation.extract(ROOT_CONTEXT, metadata, METADATA);
    return new CallSpan(tracer, tracer.startSpan(name, { kind: KINDS.server, attributes }, parent), parent);
  }

  child(name: string, role: SpanRole, attributes: Attributes): CallSpan {
    const span = this.#tracer.startSpan(name, { kind: KINDS[role], attributes }, this.#context);
    return new CallSpan(this.#tracer, span, this.#context);
  }

  /** A part that is over: `startMs` and `endMs` since 1970. */
  past(name: string, startMs: number, endMs: number): void {
    if (endMs <= startMs) return;
    this.#tracer.startSpan(name, { startTime: startMs }, this.#context).end(endMs);
  }

  /** traceparent, tracestate and baggage for the next hop. */
  headers(): Record<string, string> {
    const headers: Record<string, string> = {};
    propagation.inject(this.#context, headers);
    return headers;
  }

  set(attributes: Attributes): void {
    this.#span.setAttributes(attributes);
  }

  /** Traces go to others, so as in the log nothing stands there of what callers or models said; causes stay in the log. */
  end(error?: DroverError): void {
    if (error !== undefined) {
      this.#span.setAttribute("error.type", reasonOf(error.kind));
      this.#span.setStatus({ code: SpanStatusCode.ERROR, message: loggedMessage(error) });
    }
    this.#span.end();
  }
}
