import { DroverError } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { forwardedMetadata } from "./forwarded-metadata.ts";

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
  ])("is refused when there are too many %s of it", (_, headers) => {
    expect(() => forwardedMetadata(headers)).toThrow(DroverError);
    expect(() => forwardedMetadata(headers)).toThrow("too much metadata");
  });
});
