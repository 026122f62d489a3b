/** NetworkAgentProvider over a router and without one, on the same real agents: each does what it promises, and both say the same. */
import type { AgentProvider } from "@drover/client";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeProvider, idle, QUESTIONS } from "../src/provider.cases.ts";
import {
  EMBED_MODEL,
  MODEL,
  OTHER_MODEL,
  PROVIDER_KINDS,
  type ProviderFleet,
  startProviderFleet,
} from "../src/provider-fleet.ts";

let fleet: ProviderFleet;

beforeAll(async () => {
  const sim = { speed: 200, loadSeconds: 0.05, slots: 4 };
  const flags = ["--slots", "4"];
  const both = { ...sim, models: [MODEL, EMBED_MODEL] };
  fleet = await startProviderFleet([
    { name: "a", flags: [...flags, "--labels", "zone=eu"], sim: both },
    { name: "b", flags: [...flags, "--labels", "zone=us"], sim: both },
    { name: "c", flags, sim: { ...sim, models: [OTHER_MODEL] } },
  ]);
});
afterAll(() => fleet?.close());

// First: whose turn it is among equals depends on the calls before, and here both have had the same ones.
describe("over a router and without one", () => {
  let providers: readonly AgentProvider[];

  beforeAll(async () => {
    providers = PROVIDER_KINDS.map((kind) => fleet.provider(kind));
    await Promise.all(providers.map((provider) => provider.initialize()));
    // Loaded everywhere, so that no ranking depends on how far a load is.
    for (const agent of ["a", "b"]) {
      for (const provider of providers) await provider.forwardRequest(agent, { model: MODEL, prompt: "Hi" });
    }
    for (const provider of providers) await provider.embed("x", { preferences: { agentId: "a" } });
  });

  it.each(Object.entries(QUESTIONS))("%s is the same", async (_name, ask) => {
    const answers: unknown[] = [];
    for (const provider of providers) {
      for (const each of providers) await idle(each);
      answers.push(await ask(provider));
    }
    expect(answers[0]).toBeDefined();
    expect(answers[1]).toEqual(answers[0]);
  });
});

describe.each(PROVIDER_KINDS)("a provider %s", (kind) => {
  let provider: AgentProvider;

  beforeAll(async () => {
    provider = fleet.provider(kind);
    await provider.initialize();
  });

  describeProvider(() => provider);
});

it("shows its connections to agents where it holds them itself", async () => {
  const [over, without] = PROVIDER_KINDS.map((kind) => fleet.provider(kind));
  await without?.initialize();
  await without?.generate("Hi", { model: MODEL, options: { numPredict: 2 }, preferences: { agentId: "a" } });
  const pools = (await without?.getNetworkStatus())?.pools ?? [];
  expect(pools.map(({ endpoint }) => endpoint).sort()).toEqual(fleet.agents.map(({ address }) => address).sort());
  const used = pools.filter(({ connections }) => connections > 0);
  expect(used).toMatchObject([{ endpoint: fleet.agents[0]?.address, connections: 1, failures: 0, lastError: "" }]);
  expect((await over?.getNetworkStatus())?.pools).toBeUndefined();
});
