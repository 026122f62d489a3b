import { type SpanStatus, SpanStatusCode, trace } from "@opentelemetry/api";
import { describe, expect, it } from "vitest";
import { DroverError } from "../drover-error.ts";
import { CallSpan } from "./call-span.ts";

describe("the span of a call that failed", () => {
  it("says why, without what Ollama quotes of the prompt", () => {
    const statuses: SpanStatus[] = [];
    const tracer = trace.getTracer("test");
    const startSpan: typeof tracer.startSpan = (...args) => {
      const span = tracer.startSpan(...args);
      span.setStatus = (status) => {
        statuses.push(status);
        return span;
      };
      return span;
    };
    const span = CallSpan.begin({ ...tracer, startSpan }, "Chat", {}, {});
    const words = 'Node "a" refuses the request. Ollama: invalid message "my diary" (node "a", attempt 1)';
    span?.end(new DroverError("request_rejected", words));
    expect(statuses).toEqual([{ code: SpanStatusCode.ERROR, message: 'Node "a" refuses the request.' }]);
  });
});
