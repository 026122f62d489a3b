import { SimClock } from "@drover/platform";
import { expect, test } from "vitest";
import { createRequestLog } from "./request-log.ts";

test("a request is remembered with its body, its phase and its first end", () => {
  const clock = new SimClock(1000);
  const log = createRequestLog(clock);
  const record = log.open("POST", "/api/chat", { host: "h" });
  record.body('{"model":"m"}');
  record.phase("prefill");
  clock.advance(20);
  record.end("client-closed", undefined);
  record.end("completed", 200);
  expect(log.list()).toEqual([
    {
      id: 1,
      method: "POST",
      path: "/api/chat",
      headers: { host: "h" },
      startedAtMs: 1000,
      body: { model: "m" },
      phase: "prefill",
      chunks: 0,
      end: { how: "client-closed", phase: "prefill", afterMs: 20 },
    },
  ]);
});

test("only the latest thousand are kept, and long bodies only in part", () => {
  const log = createRequestLog(new SimClock());
  for (let i = 0; i < 1001; i++) log.open("GET", "/", {});
  expect([log.list().length, log.list()[0]?.id]).toEqual([1000, 2]);
  log.open("POST", "/", {}).body("x".repeat(100_000));
  expect(String(log.list().at(-1)?.body)).toHaveLength(65_536);
  log.clear();
  expect(log.list()).toEqual([]);
});
