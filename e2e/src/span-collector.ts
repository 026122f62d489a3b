/** A collector of OpenTelemetry in the test's own process: takes OTLP over HTTP as JSON and keeps every span. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { vi } from "vitest";

export interface CollectedSpan {
  readonly service: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export interface SpanCollector {
  /** What makes a program send its spans here, soon. */
  readonly env: Readonly<Record<string, string>>;
  readonly spans: readonly CollectedSpan[];
  /** The spans of a trace, once there are as many as `names` says of each. */
  trace(traceId: string, names: readonly string[]): Promise<readonly CollectedSpan[]>;
  close(): void;
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number };
}

interface OtlpSpan extends Omit<CollectedSpan, "service" | "attributes"> {
  readonly attributes: readonly OtlpAttribute[];
}

interface OtlpBody {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

export async function startSpanCollector(): Promise<SpanCollector> {
  const spans: CollectedSpan[] = [];
  const server: Server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      spans.push(...spansOf(JSON.parse(Buffer.concat(parts).toString()) as OtlpBody));
      response.setHeader("content-type", "application/json").end("{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const of = (traceId: string): CollectedSpan[] => spans.filter((span) => span.traceId === traceId);
  const isThere = (traceId: string, names: readonly string[]): boolean => {
    const found = of(traceId).map(({ name }) => name);
    return names.every((name) => countOf(found, name) >= countOf(names, name));
  };
  return {
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_SCHEDULE_DELAY: "100",
    },
    spans,
    trace: async (traceId, names) => {
      await vi.waitUntil(() => isThere(traceId, names), { timeout: 10_000 });
      return of(traceId);
    },
    close: () => void server.close(),
  };
}

function spansOf({ resourceSpans }: OtlpBody): CollectedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = plain(resource.attributes)["service.name"] ?? "";
    const all = scopeSpans.flatMap((scope) => scope.spans);
    return all.map((span) => ({ ...span, service, attributes: plain(span.attributes) }));
  });
}

function plain(attributes: readonly OtlpAttribute[]): Record<string, string> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? String(value.intValue ?? "")]),
  );
}

function countOf(names: readonly string[], name: string): number {
  return names.filter((each) => each === name).length;
}
