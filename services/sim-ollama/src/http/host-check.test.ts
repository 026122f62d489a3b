import { hostname } from "node:os";
import { expect, test } from "vitest";
import { isHostAllowed, isOriginAllowed } from "./host-check.ts";

test.each([
  [undefined, true],
  ["", true],
  ["localhost:11434", true],
  ["LOCALHOST", true],
  ["a.localhost", true],
  ["127.0.0.1:1", true],
  ["[::1]:1", true],
  ["10.1.2.3", true],
  ["192.168.0.9:80", true],
  ["0.0.0.0", true],
  [hostname(), true],
  ["8.8.8.8", false],
  ["example.com", false],
  ["localhost.example.com:11434", false],
  ["a.localhost.example.com", false],
  ["[2001:db8::1]", false],
])("on loopback Host %s is allowed: %s", (host, expected) => {
  expect(isHostAllowed(host, "127.0.0.1")).toBe(expected);
  expect(isHostAllowed(host, "192.168.0.5")).toBe(true);
});

test.each([
  [undefined, true],
  ["http://localhost:3000", true],
  ["https://127.0.0.1", true],
  ["vscode-webview://x", true],
  ["http://here:1", true],
  ["https://evil.example", false],
  ["http://localhost.evil.example", false],
  ["null", false],
])("Origin %s is allowed: %s", (origin, expected) => {
  expect(isOriginAllowed(origin, "here:1")).toBe(expected);
});
