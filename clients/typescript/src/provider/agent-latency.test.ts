import { SimClock } from "@drover/platform";
import { expect, it } from "vitest";
import type { CallFacts } from "../client/answer-result.ts";
import { AgentLatencies } from "./agent-latency.ts";

const unsaid = { callId: undefined, queueMs: undefined, loadMs: undefined, why: undefined };

function facts(node: string, ttftMs: number | undefined, attempts: number | undefined = 1): CallFacts {
  return { ...unsaid, node, ttftMs, attempts };
}

it("follows what is measured without jumping to it, and says how old it is", () => {
  const clock = new SimClock();
  const latencies = new AgentLatencies(clock);
  latencies.note(facts("a", 100));
  clock.advance(1_000);
  latencies.note(facts("a", 200));
  clock.advance(500);
  expect(latencies.of("a")).toEqual({ firstTokenMs: 130, samples: 2, ageMs: 500 });
});

it("takes no call into account that another agent held up, or that tells no time", () => {
  const latencies = new AgentLatencies(new SimClock());
  latencies.note(facts("a", 9_000, 2));
  latencies.note(facts("a", undefined));
  latencies.note({ ...unsaid, node: undefined, ttftMs: 5, attempts: 1 });
  expect(latencies.of("a")).toBeUndefined();
});

it("begins anew after a minute", () => {
  const clock = new SimClock();
  const latencies = new AgentLatencies(clock);
  latencies.note(facts("a", 9_000));
  clock.advance(60_001);
  expect(latencies.of("a")).toBeUndefined();
  latencies.note(facts("a", 10));
  expect(latencies.of("a")).toMatchObject({ firstTokenMs: 10, samples: 1 });
});

it("remembers 1,024 agents, those that were measured last", () => {
  const latencies = new AgentLatencies(new SimClock());
  for (let agent = 0; agent < 1_024; agent++) latencies.note(facts(`n${agent}`, 10));
  latencies.note(facts("n0", 10));
  latencies.note(facts("new", 10));
  expect(["n0", "n1", "n2", "new"].map((name) => latencies.of(name)?.samples)).toEqual([2, undefined, 1, 1]);
});
