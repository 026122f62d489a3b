import { describe, expect, it } from "vitest";
import { formatGrpcTimeout, hopDeadlineMs, parseGrpcTimeoutMs, readDeadlineMs } from "./deadline.ts";

describe("parseGrpcTimeoutMs", () => {
  it.each([
    ["100m", 100],
    ["5S", 5000],
    ["2M", 120_000],
    ["720H", 2_592_000_000],
    ["99999999H", 359_999_996_400_000],
    ["0m", 0],
    ["00000001S", 1000],
  ])("reads %s as %d ms", (raw, expected) => expect(parseGrpcTimeoutMs(raw)).toBe(expected));

  it("reads fractions of a millisecond", () => {
    expect(parseGrpcTimeoutMs("1500u")).toBeCloseTo(1.5);
    expect(parseGrpcTimeoutMs("1n")).toBeCloseTo(0.000001);
  });

  it.each(["", "m", "5", "5s", "-5m", "1.5S", "123456789m", "5 S", "5Sm", "٣S", "5S\n"])("refuses %j", (raw) => {
    expect(parseGrpcTimeoutMs(raw)).toBeUndefined();
  });
});

describe("formatGrpcTimeout", () => {
  it.each([
    [1234.9, "1234m"],
    [0.2, "1m"],
    [-5, "1m"],
    [1e12, "99999999m"],
    [Number.POSITIVE_INFINITY, "99999999m"],
  ])("writes %d as %s", (ms, expected) => expect(formatGrpcTimeout(ms)).toBe(expected));
});

describe("readDeadlineMs", () => {
  it("takes gRPC's before Connect's, from Headers and from node's headers", () => {
    expect(readDeadlineMs({ "grpc-timeout": "2S", "connect-timeout-ms": "5" })).toBe(2000);
    expect(readDeadlineMs(new Headers({ "connect-timeout-ms": "5" }))).toBe(5);
    expect(readDeadlineMs({})).toBeUndefined();
  });

  it("refuses what is malformed with the key's name", () => {
    expect(() => readDeadlineMs({ "grpc-timeout": "soon" })).toThrow(/grpc-timeout must be/);
    expect(() => readDeadlineMs({ "connect-timeout-ms": "-1" })).toThrow(/connect-timeout-ms must be/);
    expect(() => readDeadlineMs({ "connect-timeout-ms": "12345678901" })).toThrow(/connect-timeout-ms/);
  });
});

describe("hopDeadlineMs", () => {
  it.each([
    [100_000, 99_950],
    [1000, 980],
    [100, 95],
    [5, 0],
  ])("leaves of %d ms %d", (given, expected) => expect(hopDeadlineMs(given)).toBe(expected));
});
