import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema, RetryInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DroverError, InvariantError } from "./drover-error.ts";
import { ENDINGS, type EndingKind } from "./endings.ts";
import {
  droverErrorFromConnect,
  droverErrorFromGrpc,
  readGrpcStatus,
  toConnectError,
  toGrpcTrailers,
} from "./grpc-status.ts";
import { createLogger } from "./log.ts";

type Trailers = Record<string, string>;

function trailersOf(error: DroverError | ConnectError): Trailers {
  return toGrpcTrailers(error) as Trailers;
}

function sizeOf(trailers: Trailers): number {
  return Object.entries(trailers).reduce((sum, [key, value]) => sum + key.length + value.length, 0);
}

describe("toConnectError", () => {
  it("carries code, message, reason and facts", () => {
    const error = toConnectError(
      new DroverError("model_not_found", "No node has the model llama9.", { facts: { model: "llama9" } }),
    );
    expect(error).toMatchObject({ code: Code.NotFound, rawMessage: "No node has the model llama9." });
    expect(error.findDetails(ErrorInfoSchema)).toMatchObject([
      { reason: "MODEL_NOT_FOUND", domain: "drover", metadata: { model: "llama9" } },
    ]);
    expect(error.metadata.get("grpc-retry-pushback-ms")).toBeNull();
  });

  it("says when a new try helps, in whole milliseconds and in both ways", () => {
    const error = toConnectError(new DroverError("wait_exceeded", "Busy.", { retryAfterMs: 1500.2 }));
    expect(error.metadata.get("grpc-retry-pushback-ms")).toBe("1501");
    expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({ seconds: 1n, nanos: 501_000_000 });
  });

  it("lets a ConnectError pass", () => {
    const error = new ConnectError("mine", Code.Aborted);
    expect(toConnectError(error)).toBe(error);
  });

  it.each([new InvariantError("lease counted twice at 10.0.0.1"), new TypeError("x is undefined"), "text", undefined])(
    "hides what nobody expected and names the call instead (%#)",
    (cause) => {
      const lines: string[] = [];
      const log = createLogger({ name: "test", destination: { write: (line) => lines.push(line) } });
      const error = toConnectError(cause, { callId: "c-1", log });
      expect(error).toMatchObject({
        code: Code.Internal,
        rawMessage: "Drover failed on this call; its log says why. Call c-1.",
      });
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain('"call":"c-1"');
    },
  );
});

describe("toGrpcTrailers", () => {
  it.each(Object.keys(ENDINGS) as EndingKind[])("brings %s to the caller and back", (kind) => {
    const error = new DroverError(kind, "Worte für Menschen: 100 %", {
      facts: { model: "m", node: "ñ" },
      retryAfterMs: 20,
    });
    const trailers = trailersOf(error);
    const status = readGrpcStatus(trailers);
    expect(status).toEqual({ code: ENDINGS[kind].code, message: error.message });
    const back = droverErrorFromGrpc(ENDINGS[kind].code, error.message, trailers);
    expect(back).toMatchObject({ kind, message: error.message, facts: error.facts, retryAfterMs: 20 });
    expect(droverErrorFromConnect(toConnectError(error))).toMatchObject({ kind, facts: error.facts, retryAfterMs: 20 });
  });

  it("keeps message, details and all together within what C-core takes", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 5000 }),
        fc.dictionary(fc.string({ unit: "binary", maxLength: 50 }), fc.string({ unit: "binary", maxLength: 3000 }), {
          maxKeys: 40,
        }),
        (message, facts) => {
          const trailers = trailersOf(new DroverError("ollama_failed", message, { facts, retryAfterMs: 1 }));
          expect((trailers["grpc-message"] ?? "").length).toBeLessThanOrEqual(1024);
          expect((trailers["grpc-status-details-bin"] ?? "").length).toBeLessThanOrEqual(2048);
          expect(sizeOf(trailers)).toBeLessThan(4096);
          expect(droverErrorFromGrpc(Code.Unknown, "", trailers)?.kind).toBe("ollama_failed");
        },
      ),
      { numRuns: 300 },
    );
  });

  it("keeps the reason and the first facts where not all fit", () => {
    const facts = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`fact-${index}`, "é".repeat(300)]));
    const trailers = trailersOf(new DroverError("ollama_failed", "m".repeat(2000), { facts, retryAfterMs: 1 }));
    expect(trailers["grpc-status-details-bin"]?.length).toBeLessThanOrEqual(2048);
    const back = droverErrorFromGrpc(Code.Unknown, "", trailers);
    expect(back).toMatchObject({ kind: "ollama_failed", retryAfterMs: 1 });
    expect(Object.keys(back?.facts ?? {})).toEqual([]);
    const short = trailersOf(new DroverError("ollama_failed", "m", { facts }));
    expect(droverErrorFromGrpc(Code.Unknown, "", short)?.facts).toEqual({
      "fact-0": "é".repeat(200),
      "fact-1": "é".repeat(200),
      "fact-2": "é".repeat(200),
    });
  });

  it("leaves out details of somebody else that do not fit, not the status", () => {
    const huge = { type: "example.Huge", value: new Uint8Array(10_000) };
    const trailers = trailersOf(new ConnectError("m", Code.NotFound, undefined, [], undefined));
    const error = new ConnectError("m", Code.NotFound);
    error.details.push(huge);
    expect(trailersOf(error)).toEqual(trailers);
  });
});

describe("droverErrorFromGrpc", () => {
  const trailers = trailersOf(new DroverError("queue_full", "Full."));

  it.each([
    ["no details", Code.ResourceExhausted, {}],
    ["details that are no base64", Code.ResourceExhausted, { "grpc-status-details-bin": "***" }],
    ["details that are no protobuf", Code.ResourceExhausted, { "grpc-status-details-bin": "////" }],
    ["a status that was changed on the way", Code.Unavailable, trailers],
  ])("believes nothing on %s", (_, code, given) => expect(droverErrorFromGrpc(code, "m", given)).toBeUndefined());

  it("believes no reason of another domain, and none that it does not know", () => {
    const foreign = (reason: string, domain: string): ConnectError => {
      const error = new ConnectError("m", Code.ResourceExhausted);
      error.details.push({ desc: ErrorInfoSchema, value: { reason, domain } });
      return error;
    };
    for (const error of [
      foreign("QUEUE_FULL", "example.com"),
      foreign("CONSTRUCTOR", "drover"),
      foreign("", "drover"),
    ]) {
      expect(droverErrorFromConnect(error)).toBeUndefined();
      expect(droverErrorFromGrpc(error.code, "m", trailersOf(error))).toBeUndefined();
    }
  });

  it("survives a detail whose bytes are not what its type says", () => {
    const error = new ConnectError("m", Code.ResourceExhausted);
    error.details.push({ type: "google.rpc.ErrorInfo", value: new Uint8Array([255, 255]) });
    expect(droverErrorFromGrpc(Code.ResourceExhausted, "m", trailersOf(error))).toBeUndefined();
    expect(droverErrorFromConnect(error)).toBeUndefined();
  });

  it("takes the pushback where there is no RetryInfo, and ignores one that is no number", () => {
    const read = (pushback: string): number | undefined =>
      droverErrorFromGrpc(Code.ResourceExhausted, "m", { ...trailers, "grpc-retry-pushback-ms": pushback })
        ?.retryAfterMs;
    expect(["250", "-1", "soon"].map(read)).toEqual([250, undefined, undefined]);
  });
});

describe("readGrpcStatus", () => {
  it.each([
    [{}, undefined],
    [{ "grpc-status": "0" }, { code: 0, message: "" }],
    [
      { "grpc-status": "14", "grpc-message": "gone%21" },
      { code: 14, message: "gone!" },
    ],
    [{ "grpc-status": "99" }, { code: 2, message: "" }],
    [{ "grpc-status": "-1" }, { code: 2, message: "" }],
    [{ "grpc-status": "x" }, { code: 2, message: "" }],
  ])("reads %j", (trailers, expected) => expect(readGrpcStatus(trailers)).toEqual(expected));
});
