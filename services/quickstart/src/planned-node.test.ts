import { expect, test } from "vitest";
import { describeNode, ollamaNodes, simulatedNodes } from "./planned-node.ts";

test("nodes are named after host and port, each name once", () => {
  const urls = [
    "http://127.0.0.1:11434",
    "http://localhost:11434",
    "http://[::1]:1",
    "http://gpu-1.example:11434/base",
    "https://gpu-1.example",
    "http://gpu-1.example",
    "http://[fd00::7]:2",
    `http://${"x".repeat(60)}.${"y".repeat(60)}:65535`,
  ];
  const names = ollamaNodes(urls.map((url) => ({ url, version: "0.24.0" }))).map(({ name }) => name);
  expect(names).toEqual([
    "local-11434",
    "local-11434-2",
    "local-1",
    "gpu-1.example-11434",
    "gpu-1.example-443",
    "gpu-1.example-80",
    "fd00-7-2",
    `${"x".repeat(52)}-65535`,
  ]);
  for (const name of names) expect(name.length).toBeLessThanOrEqual(64);
});

test("simulated nodes differ in speed, and say that they are simulated", () => {
  const nodes = simulatedNodes(["m"]);
  const speeds = nodes.map(({ source }) => (source.kind === "simulated" ? source.simulation.tokensPerSecond : 0));
  expect(new Set(speeds).size).toBe(3);
  expect(nodes.map(describeNode)).toEqual([
    "sim-fast     simulated, 120 tokens/s, slots: 4",
    "sim-medium   simulated, 60 tokens/s, slots: 2",
    "sim-slow     simulated, 25 tokens/s, slots: 1",
  ]);
});
