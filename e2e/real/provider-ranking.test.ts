/**
 * Seeded fleets, each seen by a router and by a provider without one: both rank every agent alike, exclude the others for the same
 * reasons, and place a series of calls on the same agents. All in this process, over real sockets.
 */
import { type AgentPreferences, type AgentProvider, DroverError, NetworkAgentProvider } from "@drover/client";
import { NetworkAgentProvider as DirectProvider } from "@drover/client/direct";
import { type Rng, seededRng } from "@drover/platform";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { POLICY_NAMES, type PolicyName } from "@drover/routing";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { startRouter } from "../../services/router/test/running-router.ts";
import { type FakeAgent, startFakeAgent } from "../../services/routing/src/testing/fake-agent.ts";

const SEEDS = [1, 2, 3, 4, 5, 6];
const NODES = 8;
const QUESTIONS = 25;
const CALLS = 25;
const MODELS = ["llama3.2:1b", "qwen3:4b", "nomic-embed-text"];
const CAPABILITIES = ["completion", "tools", "vision", "embedding"];
const ZONES = ["eu", "us"];

interface Dice {
  /** Whole, from 0 to `below` - 1. */
  number(below: number): number;
  chance(part: number): boolean;
  one<Value>(values: readonly Value[]): Value;
  some<Value>(values: readonly Value[], part: number): readonly Value[];
}

function diceOf(rng: Rng): Dice {
  const number = (below: number): number => Math.floor(rng.next() * below);
  const chance = (part: number): boolean => rng.next() < part;
  return {
    number,
    chance,
    one: (values) => values[number(values.length)] as (typeof values)[number],
    some: (values, part) => values.filter(() => chance(part)),
  };
}

/** Among them some that are idle and equal, so that it is a matter of turns. */
async function startNode(name: string, dice: Dice): Promise<FakeAgent> {
  const isIdle = dice.chance(0.4);
  const models = dice.some(MODELS, 0.8);
  const slots = 1 + dice.number(3);
  const runners = dice.some(models, 0.6).map((model) => ({
    ...{ model, state: RunnerState.LOADED, slots, contextLength: 4_096 },
    active: isIdle ? 0 : dice.number(slots + 1),
  }));
  const agent = await startFakeAgent({
    id: `id-${name}`,
    name,
    models,
    capabilities: dice.some(CAPABILITIES, 0.8),
    labels: { zone: dice.one(ZONES) },
    load: {
      ...{ runners, slotsPerRunner: slots, queueLimit: 4 },
      active: runners.reduce((sum, { active }) => sum + active, 0),
      queued: isIdle ? 0 : dice.number(6),
    },
  });
  agent.setCondition({ isDraining: dice.chance(0.1), isOllamaReachable: !dice.chance(0.1) });
  return agent;
}

async function bothProviders(policy: PolicyName, agents: readonly FakeAgent[]) {
  const addresses = agents.map(({ address }) => address);
  const router = await startRouter("--nodes", addresses.join(","), "--policy", policy);
  const over = new NetworkAgentProvider({ discovery: { router: router.address } });
  const without = new DirectProvider({ discovery: { static: addresses }, loadBalancing: policy });
  const providers: readonly AgentProvider[] = [over, without];
  for (const provider of providers) {
    await provider.initialize();
    const isTold = async (): Promise<boolean> => (await provider.getNetworkStatus()).agents.every(hasStatus);
    await vi.waitUntil(isTold, { timeout: 10_000 });
  }
  return {
    providers,
    close: async () => {
      await Promise.all(providers.map((provider) => provider.dispose()));
      await router.stop();
    },
  };
}

const hasStatus = ({ load }: { readonly load: { readonly queueLimit: number } }): boolean => load.queueLimit > 0;

function preferencesOf(dice: Dice): AgentPreferences {
  return {
    ...(dice.chance(0.3) ? { labels: { zone: dice.one([...ZONES, "mars"]) } } : {}),
    ...(dice.chance(0.3) ? { capabilities: dice.some(CAPABILITIES, 0.4) } : {}),
    ...(dice.chance(0.2) ? { agentId: `n${dice.number(NODES + 1)}` } : {}),
    ...(dice.chance(0.2) ? { excludeAgents: [`n${dice.number(NODES)}`, `id-n${dice.number(NODES)}`] } : {}),
  };
}

async function selected(provider: AgentProvider, model: string, preferences: AgentPreferences): Promise<unknown> {
  try {
    const { agent, ...explained } = await provider.selectAgent(model, preferences);
    return { agent: agent.id, ...explained };
  } catch (error) {
    return failure(error);
  }
}

/** The agent that answered. */
async function placed(provider: AgentProvider, model: string, preferences: AgentPreferences): Promise<unknown> {
  try {
    const messages = [{ role: "user", content: "Hi" }];
    await provider.chat(messages, { model, preferences, maxWaitMs: 0 });
    return "answered";
  } catch (error) {
    return failure(error);
  }
}

function failure(error: unknown): unknown {
  if (!(error instanceof DroverError)) throw error;
  const { reason, status, message, node } = error;
  return { reason, status, message, node };
}

describe.each(SEEDS)("fleet %i", (seed) => {
  let agents: readonly FakeAgent[];

  beforeAll(async () => {
    const dice = diceOf(seededRng(seed));
    const started: FakeAgent[] = [];
    for (let node = 0; node < NODES; node++) started.push(await startNode(`n${node}`, dice));
    agents = started;
  });
  afterAll(() => {
    for (const agent of agents) agent.kill();
  });

  it.each(POLICY_NAMES)("is ranked and called alike by policy %s", async (policy) => {
    const dice = diceOf(seededRng(seed * 1_000));
    const { providers, close } = await bothProviders(policy, agents);
    try {
      for (let question = 0; question < QUESTIONS; question++) {
        const model = dice.one(MODELS);
        const preferences = preferencesOf(dice);
        const [over, without] = await Promise.all(providers.map((each) => selected(each, model, preferences)));
        expect(without, `question ${question}: ${model} ${JSON.stringify(preferences)}`).toEqual(over);
      }
      for (let call = 0; call < CALLS; call++) {
        const model = dice.one(MODELS);
        const preferences = preferencesOf(dice);
        const ends: unknown[] = [];
        for (const provider of providers) {
          const before = agents.map(({ calls }) => calls);
          const end = await placed(provider, model, preferences);
          ends.push({ end, at: agents.findIndex(({ calls }, index) => calls > (before[index] ?? 0)) });
        }
        expect(ends[1], `call ${call}: ${model} ${JSON.stringify(preferences)}`).toEqual(ends[0]);
      }
    } finally {
      await close();
    }
  });
});
