import { DroverError, toGrpcTrailers } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { callProfile, nodeView } from "../testing/node-views.ts";
import { reportTrailers } from "./call-times.ts";

/** Bytes as RFC 7540 counts them for SETTINGS_MAX_HEADER_LIST_SIZE, which C-core goes by. */
function sizeOf(trailers: Readonly<Record<string, unknown>>): number {
  return Object.entries(trailers)
    .filter(([, value]) => value !== undefined)
    .flatMap(([key, value]) => [value].flat().map((each) => key.length + String(each).length + 32))
    .reduce((sum, bytes) => sum + bytes, 0);
}

describe("all trailers of a failed call", () => {
  it("stay within 6 KiB, whatever the node says, how it is named and what went wrong", () => {
    const long = "木".repeat(5_000);
    const facts = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`fact-${index}`, long]));
    const error = new DroverError("ollama_failed", long, { facts, retryAfterMs: 86_400_000 });
    const request = {
      id: "c".repeat(36),
      path: "/drover.inference.v1.InferenceService/Chat",
      isUnary: false,
      profile: callProfile(),
      isProgressWanted: true,
      isWhyWanted: false,
      headers: {},
      body: { bytes: new Uint8Array(), release: () => undefined },
      timeoutMs: undefined,
      maxWaitMs: 0,
    };
    const times = { waitedMs: 1e9, firstTokenMs: 1e9, totalMs: 1e9 };
    const report = {
      request,
      error,
      node: { ...nodeView("a"), name: "木".repeat(255) },
      attempts: 100,
      times,
      answerBytes: 0,
    };
    const ofAgent = Object.fromEntries(
      Array.from({ length: 100 }, (_, index) => [`x-note-${index}`, "n".repeat(100)] as const),
    );
    const trailers = {
      ...reportTrailers(report, { ...ofAgent, "drover-load-ms": "1".repeat(9_000) }),
      ...toGrpcTrailers(error),
    };
    expect(sizeOf(trailers)).toBeLessThanOrEqual(6 * 1024);
    expect(sizeOf(trailers)).toBeGreaterThan(3 * 1024);
  });
});
