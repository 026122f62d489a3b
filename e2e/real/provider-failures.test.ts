/** What a NetworkAgentProvider does when an agent is killed under load, and what it leaves behind when it is disposed. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type AgentPreferences, type AgentProvider, DroverError } from "@drover/client";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { errorOf } from "../src/provider.cases.ts";
import { MODEL, PROVIDER_KINDS, type ProviderFleet, startProviderFleet } from "../src/provider-fleet.ts";

const LEAVER = fileURLToPath(new URL("../src/leaving-provider.ts", import.meta.url));
const CALLS = 30;
/** Who places a call, and places it again. */
const BY_THE_FLEET: AgentPreferences = {};
const BY_THE_PROVIDER: AgentPreferences = { excludeAgents: ["nobody"] };
/** One for each test that kills one, and one that is left. */
const NAMES = ["a", "b", "c"];

let fleet: ProviderFleet;

beforeAll(async () => {
  const sim = { models: [MODEL], speed: 40, loadSeconds: 0, answerTokens: 10 };
  fleet = await startProviderFleet(NAMES.map((name) => ({ name, flags: ["--slots", "1"], sim })));
});
afterAll(() => fleet?.close());

describe.each(PROVIDER_KINDS)("a provider %s", (kind) => {
  it("lets its process end by itself once it is disposed, whatever ran", async () => {
    const addresses = kind === "over a router" ? [fleet.router.address] : fleet.agents.map(({ address }) => address);
    const { code, signal, told, tookMs } = await runLeaver(kind, addresses);
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(told).toEqual({ streamed: "CLIENT_CLOSED", waiting: "CLIENT_CLOSED", later: "CLIENT_CLOSED" });
    expect(tookMs).toBeLessThan(5_000);
  });

  it("loses no call without a token when an agent is killed under load", async () => {
    const provider = fleet.provider(kind);
    await provider.initialize();
    const alive = await provider.getAvailableAgents();
    const [victim] = alive;
    const calls = Array.from({ length: CALLS }, (_, call) =>
      provider.generate(`Call ${call}`, { model: MODEL, preferences: call % 2 === 0 ? BY_THE_FLEET : BY_THE_PROVIDER }),
    );
    const ended = Promise.allSettled(calls);
    const isLoaded = async (): Promise<boolean> => ((await shown(provider, victim?.name))?.load.queued ?? 0) > 0;
    await vi.waitUntil(isLoaded, { timeout: 10_000 });
    fleet.agents[NAMES.indexOf(victim?.name ?? "")]?.kill("SIGKILL");
    const failures = (await ended).flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
    // One call at most had its slot there, and may have shown a token.
    expect(failures.length).toBeLessThanOrEqual(1);
    for (const failure of failures) {
      expect(failure).toBeInstanceOf(DroverError);
      expect((failure as DroverError).tokensReceived).toBeGreaterThan(0);
    }
    await vi.waitUntil(async () => (await shown(provider, victim?.name))?.availability === "unreachable");
    const names = (await provider.getAvailableAgents()).map(({ name }) => name);
    expect(names).toEqual(alive.slice(1).map(({ name }) => name));
    expect((await provider.selectAgent(MODEL)).explanation).toContain(`Left out: ${victim?.name}: `);
    const forwarded = provider.forwardRequest(victim?.id ?? "", { model: MODEL, prompt: "Hi", maxWaitMs: 100 });
    expect((await errorOf(forwarded)).status).toBe("UNAVAILABLE");
  });
});

it("tells in time that nothing is there, and what it tried", async () => {
  const { router } = fleet;
  await router.stop();
  const error = await errorOf(fleet.provider("over a router").initialize({ timeoutMs: 500 }));
  expect(error).toMatchObject({ reason: "ROUTER_UNREACHABLE", status: "UNAVAILABLE" });
  expect(error.message).toContain(`No agent was heard of within 500 ms. Tried: router ${router.address}.`);
});

async function shown(provider: AgentProvider, name: string | undefined) {
  return (await provider.getNetworkStatus()).agents.find((agent) => agent.name === name);
}

/** `tookMs`: from its last word to its end. */
async function runLeaver(kind: string, addresses: readonly string[]) {
  const child = fork(LEAVER, [kind, ...addresses], { execArgv: [], stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const timer = setTimeout(() => child.kill("SIGKILL"), 20_000);
  let told: unknown;
  let toldMs = Number.NaN;
  child.once("message", (message) => {
    told = message;
    toldMs = performance.now();
    // The channel itself would keep it alive.
    child.disconnect();
  });
  const end = await new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once("exit", (code, signal) => resolve({ code, signal })),
  );
  clearTimeout(timer);
  return { ...end, told, tookMs: performance.now() - toldMs };
}
