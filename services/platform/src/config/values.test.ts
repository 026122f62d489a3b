import { describe, expect, it } from "vitest";
import { durationMs, hostPort, httpUrl, integer, number, oneOf, origin, text } from "./values.ts";

interface Schema {
  safeParse(raw: string): { success: boolean; data?: unknown; error?: { issues: { message: string }[] } };
}

function read(schema: Schema, raw: string): unknown {
  const result = schema.safeParse(raw);
  return result.success ? result.data : `! ${result.error?.issues[0]?.message}`;
}

describe("durationMs", () => {
  it.each([
    ["250ms", 250],
    ["120s", 120_000],
    ["5m", 300_000],
    ["1.5h", 5_400_000],
    ["0s", 0],
  ])("reads %s", (raw, expected) => expect(read(durationMs(), raw)).toBe(expected));

  it.each(["", "5", "5 s", "s", "-1s", "1d", "1e3s", "NaNs", "99999999999s"])(
    "refuses %j and asks for a unit",
    (raw) => {
      expect(read(durationMs(), raw)).toMatch(/^! a duration/);
    },
  );

  it("names its range", () => {
    expect(read(durationMs({ minMs: 1000, maxMs: 60_000 }), "2m")).toBe("! a duration from 1s to 1m");
    expect(read(durationMs(), "25h")).toBe("! a duration from 0ms to 24h");
  });
});

describe("the other values", () => {
  it("read what people write", () => {
    expect(read(hostPort(7), "gpu-1")).toEqual({ host: "gpu-1", port: 7 });
    expect(read(integer(-1, 10), " 10 ")).toBe(10);
    expect(read(number(0, 1), "0.25")).toBe(0.25);
    expect(read(oneOf(["a", "b"]), "B")).toBe("b");
    expect(read(text(3), "abc")).toBe("abc");
    expect(read(httpUrl(8500), "consul")).toBe("http://consul:8500");
    expect(read(httpUrl(8500), "consul:80")).toBe("http://consul");
    expect(read(httpUrl(), "https://ollama.example/base//")).toBe("https://ollama.example/base");
    expect(read(origin(), "https://App.example")).toBe("https://app.example");
    expect(read(origin(), "*")).toBe("*");
  });

  it.each([
    [hostPort(), "gpu-1", "! HOST:PORT, as 127.0.0.1:50051"],
    [integer(1, 10), "1.5", "! a whole number from 1 to 10"],
    [integer(1, 10), "", "! a whole number from 1 to 10"],
    [integer(1, 10), "11", "! a whole number from 1 to 10"],
    [number(0, 1), "", "! a number from 0 to 1"],
    [number(0, 1), "x", "! a number from 0 to 1"],
    [oneOf(["a"]), "c", "! one of a"],
    [text(3), "", "! 1 to 3 characters on one line"],
    [text(3), "a\nb", "! 1 to 3 characters on one line"],
    [httpUrl(), "ftp://x", "! an address, as http://127.0.0.1:11434"],
    [httpUrl(), "a b", "! an address, as http://127.0.0.1:11434"],
    [origin(), "app.example", "! an origin, as https://app.example, or *"],
    [origin(), "https://app.example/path", "! an origin, as https://app.example, or *"],
  ])("refuse what they cannot mean (%#)", (schema, raw, expected) => expect(read(schema, raw)).toBe(expected));
});
