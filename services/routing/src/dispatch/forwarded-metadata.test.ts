import { DroverError } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { forwardedMetadata, forwardedTrailers } from "./forwarded-metadata.ts";

describe("the metadata that agents get", () => {
  it("is the caller's own, binary keys included", () => {
    const mine = { "x-mine": "a", "trace-bin": "AAEC", traceparent: "00-1-2-01", "drover-session": "s" };
    expect(forwardedMetadata(mine)).toEqual(mine);
  });

  it("has nothing of the hop, of the protocol, or of the secret between router and agent", () => {
    const headers = {
      ":path": "/x",
      te: "trailers",
      "content-type": "application/grpc",
      "grpc-encoding": "gzip",
      "grpc-timeout": "1S",
      authorization: "Bearer x",
      cookie: "a=b",
      "drover-router": "x",
      "drover-call": "x",
      "drover-attempt": "1",
      "drover-send": "1",
      "drover-ticket": "x",
      "grpc-previous-rpc-attempts": "1",
    };
    expect(forwardedMetadata(headers)).toEqual({});
  });

  it.each([
    ["keys", Object.fromEntries(Array.from({ length: 101 }, (_, index) => [`x-${index}`, ""]))],
    ["bytes", { "x-long": "x".repeat(48 * 1024) }],
    ["fields of one key", { "set-cookie": Array.from({ length: 101 }, () => "") }],
    ["bytes of one key", { "set-cookie": ["x".repeat(24 * 1024), "x".repeat(24 * 1024)] }],
  ])("is refused when there are too many %s of it", (_, headers) => {
    expect(() => forwardedMetadata(headers)).toThrow(DroverError);
    expect(() => forwardedMetadata(headers)).toThrow("too much metadata");
  });
});

describe("the trailers that callers get", () => {
  it("are the agent's own, binary keys included", () => {
    const own = { "x-own": "a, b", "endpoint-load-metrics-bin": "AAEC" };
    expect(forwardedTrailers(own)).toEqual(own);
  });

  it("have nothing of the protocol, of Drover's account, or of a response's headers", () => {
    const trailers = {
      ":status": "200",
      "content-type": "application/grpc",
      date: "Sat, 21 Nov 2026 12:00:00 GMT",
      "grpc-status": "3",
      "grpc-message": "no",
      "grpc-status-details-bin": "AAEC",
      "drover-node": "x",
      "drover-of-a-newer-agent": "1",
    };
    expect(forwardedTrailers(trailers)).toEqual({});
  });

  it("leave out what exceeds 512 bytes, and no call fails for it", () => {
    const large = "b".repeat(512);
    expect(forwardedTrailers({ "x-small": "a", "x-large": large })).toEqual({ "x-small": "a" });
    expect(forwardedTrailers({ "x-small": "a", "x-repeated": [large, large] })).toEqual({ "x-small": "a" });
  });
});
