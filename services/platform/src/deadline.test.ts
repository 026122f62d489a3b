import { describe, expect, it } from "vitest";
import { type DeadlineKey, formatGrpcTimeout, hopDeadlineMs, parseGrpcTimeoutMs, readDeadlineMs } from "./deadline.ts";

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
  it("reads the header of the protocol and no other, from Headers and from node's headers", () => {
    const both = { "grpc-timeout": "2S", "connect-timeout-ms": "50" };
    expect(readDeadlineMs(both, "grpc-timeout")).toBe(2000);
    expect(readDeadlineMs(new Headers(both), "connect-timeout-ms")).toBe(50);
    expect(readDeadlineMs({ "connect-timeout-ms": "50" }, "grpc-timeout")).toBeUndefined();
    expect(readDeadlineMs(new Headers(), "grpc-timeout")).toBeUndefined();
  });

  it.each<[DeadlineKey, string, number]>([
    ["grpc-timeout", " 5S ", 5000],
    ["grpc-timeout", "99999999H", 359_999_996_400_000],
    ["grpc-timeout", "99999999m", 99_999_999],
    ["connect-timeout-ms", "9999999999", 9_999_999_999],
    ["connect-timeout-ms", "0000000100", 100],
  ])("reads %s %j as %d ms", (key, raw, ms) => expect(readDeadlineMs({ [key]: raw }, key)).toBe(ms));

  it.each<[DeadlineKey, string | string[]]>([
    ...["", " ", "soon", "5", "m", "5s", "5x", "-5m", "+5m", "1.5S", "123456789m", "5 S", "5S 5S", "1e3m", "0x5m"].map(
      (raw): [DeadlineKey, string] => ["grpc-timeout", raw],
    ),
    ["grpc-timeout", "1S, 1S"],
    ["grpc-timeout", ["1S", "1S"]],
    ...["", "-1", "1.5", "1e3", "0x10", "5m", "NaN", "12345678901", "1 0"].map((raw): [DeadlineKey, string] => [
      "connect-timeout-ms",
      raw,
    ]),
    ["connect-timeout-ms", ["5", "5"]],
  ])("refuses %s %j with the key's name", (key, raw) => {
    const words = new RegExp(`The metadata key ${key} must be`);
    expect(() => readDeadlineMs({ [key]: raw }, key)).toThrow(words);
    expect(() => readDeadlineMs(new Headers([[key, [raw].flat().join(", ")]]), key)).toThrow(words);
  });

  it.each<[DeadlineKey, string]>([
    ["grpc-timeout", "0S"],
    ["grpc-timeout", "00000000H"],
    ["grpc-timeout", "1n"],
    ["grpc-timeout", "5900u"],
    ["connect-timeout-ms", "0"],
    ["connect-timeout-ms", "5"],
  ])("takes %s %j for a deadline that has passed", (key, raw) => {
    expect(() => readDeadlineMs({ [key]: raw }, key)).toThrow(/^The deadline passed as the call came in/);
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
