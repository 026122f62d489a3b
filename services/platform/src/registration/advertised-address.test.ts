import { describe, expect, test } from "vitest";
import { parseHostPort } from "../host-port.ts";
import { advertisedAddress, grpcCheckAddress, isOnThisMachine } from "./advertised-address.ts";

function advertised(listen: string, advertise: string | undefined, isConsulHere: boolean): unknown {
  const parsed = parseHostPort(listen) ?? { host: "", port: 0 };
  const given = advertise === undefined ? undefined : parseHostPort(advertise, 0);
  return advertisedAddress({ listen: parsed, advertise: given, isConsulHere });
}

describe("the published address", () => {
  test.each([
    ["10.0.0.1:50052", undefined, true, { host: "10.0.0.1", port: 50_052 }],
    ["10.0.0.1:50052", undefined, false, { host: "10.0.0.1", port: 50_052 }],
    ["127.0.0.1:50052", undefined, true, { host: "127.0.0.1", port: 50_052 }],
    ["0.0.0.0:50052", undefined, true, { host: undefined, port: 50_052 }],
    ["0.0.0.0:50052", "gpu-1:7000", false, { host: "gpu-1", port: 7_000 }],
    ["127.0.0.1:50052", "gpu-1", false, { host: "gpu-1", port: 50_052 }],
    ["127.0.0.1:50052", "127.0.0.1:7000", true, { host: "127.0.0.1", port: 7_000 }],
  ])("listening on %s, advertise %s, Consul on this machine %s: %o", (listen, advertise, isHere, expected) => {
    expect(advertised(listen, advertise, isHere)).toEqual(expected);
  });

  test.each([
    ["127.0.0.1:50052", undefined, false],
    ["[::1]:50052", undefined, false],
    ["0.0.0.0:50052", undefined, false],
    ["10.0.0.1:50052", "localhost:7000", false],
    ["10.0.0.1:50052", "0.0.0.0:7000", true],
  ])(
    "listening on %s, advertise %s, Consul on this machine %s is refused and names --advertise",
    (listen, advertise, isHere) => {
      expect(advertised(listen, advertise, isHere)).toEqual({ problem: expect.stringContaining("--advertise") });
    },
  );

  test("knows a Consul on this machine by its address", () => {
    expect(isOnThisMachine("http://127.0.0.1:8500")).toBe(true);
    expect(isOnThisMachine("http://[::1]:8500")).toBe(true);
    expect(isOnThisMachine("http://localhost:8500")).toBe(true);
    expect(isOnThisMachine("http://203.0.113.9:8500")).toBe(false);
    expect(isOnThisMachine("https://consul.example:8501")).toBe(false);
  });
});

describe("where Consul asks for health", () => {
  const there = { host: "10.0.0.1", port: 50_052 };
  test.each([
    [{ advertised: there, opsAddress: "127.0.0.1:50060", isConsulHere: true }, "127.0.0.1:50060"],
    [{ advertised: there, opsAddress: "0.0.0.0:50060", isConsulHere: true }, "127.0.0.1:50060"],
    [{ advertised: there, opsAddress: "127.0.0.1:50060", isConsulHere: false }, "10.0.0.1:50052"],
    [{ advertised: there, opsAddress: undefined, isConsulHere: true }, "10.0.0.1:50052"],
    [{ advertised: { host: undefined, port: 50_052 }, opsAddress: undefined, isConsulHere: true }, "127.0.0.1:50052"],
  ])("%o: %s", (facts, expected) => {
    expect(grpcCheckAddress({ ...facts, listen: there })).toBe(expected);
  });

  test("is nowhere when another machine's Consul would meet a proxy", () => {
    const listen = { host: "127.0.0.1", port: 50_052 };
    expect(
      grpcCheckAddress({ advertised: there, listen, opsAddress: "127.0.0.1:50060", isConsulHere: false }),
    ).toBeUndefined();
  });
});
