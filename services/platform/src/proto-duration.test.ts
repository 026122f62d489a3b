import { create, toBinary } from "@bufbuild/protobuf";
import { DurationSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { protoDuration } from "./proto-duration.ts";

describe("protoDuration", () => {
  it("encodes milliseconds with a fraction, which durationFromMs alone cannot", () => {
    const duration = create(DurationSchema, protoDuration(751.9547779999557));
    expect(toBinary(DurationSchema, duration).length).toBeGreaterThan(0);
    expect(duration.nanos).toBe(751_955_000);
  });

  it("keeps seconds, zero and negative times", () => {
    expect(protoDuration(61_000.5)).toMatchObject({ seconds: 61n, nanos: 500_000 });
    expect(protoDuration(0)).toMatchObject({ seconds: 0n, nanos: 0 });
    expect(protoDuration(-1_500.25)).toMatchObject({ seconds: -1n, nanos: -500_250_000 });
  });
});
