import { expect, test } from "vitest";
import { createFaultScript } from "./faults.ts";

test("a fault without an endpoint meets inference and nothing else", () => {
  const script = createFaultScript([{ kind: "cut" }]);
  expect(script.planFor("chat", "m").breaking).toMatchObject({ kind: "cut", afterChunks: 0 });
  expect(script.planFor("ps", undefined).breaking).toBeUndefined();
  expect(script.planFor(undefined, undefined).breaking).toBeUndefined();
});

test("endpoint and model choose, by Ollama's rules for names", () => {
  const script = createFaultScript([{ kind: "hang", endpoint: "generate", model: "llama3" }]);
  expect(script.planFor("generate", "LLAMA3:latest").get("hang")).toBeDefined();
  expect(script.planFor("generate", "other").get("hang")).toBeUndefined();
  expect(script.planFor("chat", "llama3").get("hang")).toBeUndefined();
});

test("skip lets requests pass and times bounds how many are met", () => {
  const script = createFaultScript([{ kind: "status", status: 503, skip: 2, times: 2 }]);
  const met = Array.from({ length: 6 }, () => script.planFor("chat", "m").get("status") !== undefined);
  expect(met).toEqual([false, false, true, true, false, false]);
  expect(script.list()).toEqual([]);
});

test("several faults meet one request", () => {
  const script = createFaultScript([
    { kind: "slow-first-token", delayMs: 5 },
    { kind: "end-without-done", afterChunks: 2 },
  ]);
  const plan = script.planFor("chat", "m");
  expect([plan.get("slow-first-token")?.delayMs, plan.breaking?.kind]).toEqual([5, "end-without-done"]);
});

test("replacing forgets what was there", () => {
  const script = createFaultScript([{ kind: "cut" }]);
  script.replace([]);
  expect(script.planFor("chat", "m").breaking).toBeUndefined();
});

test("what is no fault is refused, and so are more than a hundred", () => {
  const broken = { kind: "status", status: 200 } as const;
  expect(() => createFaultScript([broken])).toThrow();
  expect(() => createFaultScript(Array.from({ length: 101 }, () => ({ kind: "cut" }) as const))).toThrow();
});
