import { describe, expect, it } from "vitest";
import { formatHostPort, isLoopbackHost, isWildcardHost, parseHostPort, plainAddress } from "./host-port.ts";

describe("parseHostPort", () => {
  it.each([
    ["127.0.0.1:50051", "127.0.0.1", 50051],
    [" gpu-1.lan:1 ", "gpu-1.lan", 1],
    ["[::1]:0", "::1", 0],
    ["localhost:65535", "localhost", 65535],
    ["my_host:1", "my_host", 1],
  ])("reads %s and writes it back", (text, host, port) => {
    const address = parseHostPort(text);
    expect(address).toEqual({ host, port });
    expect(address && formatHostPort(address)).toBe(text.trim());
  });

  it.each([
    "",
    ":1",
    "host",
    "host:",
    "host:x",
    "host:65536",
    "host:-1",
    "::1:5",
    "[::1]",
    "[host]:1",
    "1.2.3:4",
    "256.1.1.1:1",
    "http://a:1",
    "a b:1",
    "a/b:1",
  ])("refuses %j", (text) => expect(parseHostPort(text)).toBeUndefined());

  it("adds a port only where there is a default", () => {
    expect(parseHostPort("[::1]", 7)).toEqual({ host: "::1", port: 7 });
    expect(parseHostPort("gpu", 7)).toEqual({ host: "gpu", port: 7 });
  });
});

describe("isLoopbackHost", () => {
  it.each([
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "localhost",
    "LOCALHOST",
    "a.localhost",
  ])("believes %s", (host) => expect(isLoopbackHost(host)).toBe(true));

  it.each([
    "0.0.0.0",
    "::",
    "10.0.0.1",
    "::ffff:10.0.0.1",
    "128.0.0.1",
    "localhost.evil.com",
    "127.0.0.1.evil.com",
    "127.evil.com",
    "",
  ])("does not believe %j", (host) => expect(isLoopbackHost(host)).toBe(false));
});

it("knows the wildcard addresses, and IPv4 in its IPv6 dress", () => {
  expect(["0.0.0.0", "::", "127.0.0.1"].map(isWildcardHost)).toEqual([true, true, false]);
  expect(["::ffff:10.0.0.1", "::1"].map(plainAddress)).toEqual(["10.0.0.1", "::1"]);
});
