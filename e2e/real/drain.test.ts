/** Three ways to drain a node (DrainNode, maintenance in Consul, SIGTERM) look the same to its agent, to Consul and to a router. */
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller, type GrpcJsCaller } from "../src/grpc-js-caller.ts";
import { type RealConsul, startRealConsul } from "../src/real-consul.ts";
import { describeWith } from "../src/real-programs.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

interface Entry {
  readonly Service: { readonly ID: string; readonly Meta: { readonly name?: string } };
  readonly Checks: readonly { readonly CheckID: string; readonly Notes: string }[];
}

const MODEL = "chat";
const PATIENCE = { timeout: 40_000, interval: 50 };
const story = () => ({ model: MODEL, messages: [{ role: "user", content: "Tell me a story" }] });

describeWith(["consul"], "a node that is drained", (paths) => {
  let consul: RealConsul;
  let ollama: SimOllamaProcess;
  let one: DroverProcess;
  let two: DroverProcess;
  let router: DroverProcess;
  let grpc: GrpcJsCaller;

  const startAgent = (name: string): Promise<DroverProcess> =>
    startDrover("agent", ["--ollama", ollama.url, "--consul", consul.url, "--name", name, "--slots", "32"]);
  const nodes = async () => (await grpc.unary(RouterService.method.listNodes, {})).nodes;
  const atRouter = async () => (await nodes()).find(({ identity }) => identity?.name === "one");
  const bothAvailable = (): Promise<void> =>
    vi.waitFor(async () => {
      const available = (await nodes()).filter(({ availability }) => availability === NodeAvailability.AVAILABLE);
      expect(available.map(({ identity }) => identity?.name).sort()).toEqual(["one", "two"]);
    }, PATIENCE);
  const inConsul = async (): Promise<Entry | undefined> =>
    ((await consul.ask("GET", "/health/service/drover-agent")) as readonly Entry[]).find(
      ({ Service }) => Service.Meta.name === "one",
    );
  const setMaintenance = async (change: string): Promise<void> => {
    const id = (await inConsul())?.Service.ID;
    await consul.ask("PUT", `/agent/service/maintenance/${id}?${change}`);
  };

  beforeAll(async () => {
    consul = await startRealConsul(paths.consul);
    const speed = ["--speed", "5", "--answer-tokens", "35", "--load-seconds", "0.1"];
    ollama = await startSimOllama(["--models", MODEL, "--slots", "64", ...speed]);
    one = await startAgent("one");
    two = await startAgent("two");
    router = await startDrover("router", ["--consul", consul.url, "--policy", "round-robin"]);
    grpc = createGrpcJsCaller(router.address);
  }, 120_000);
  afterAll(async () => {
    grpc?.close();
    for (const each of [router, one, two]) await each?.stop("SIGKILL");
    await ollama?.close();
    await consul?.close();
  });

  const ways = {
    DrainNode: {
      reason: "new driver",
      begin: async () => void (await grpc.unary(RouterService.method.drainNode, { node: "one", reason: "new driver" })),
      end: async () => void (await grpc.unary(RouterService.method.resumeNode, { node: "one" })),
    },
    "maintenance in Consul": {
      reason: "by hand",
      begin: () => setMaintenance("enable=true&reason=by%20hand"),
      end: () => setMaintenance("enable=false"),
    },
    SIGTERM: {
      reason: "this program stops",
      begin: async () => one.kill("SIGTERM"),
      end: async () => {
        expect(await one.stop()).toBe(0);
        expect(await inConsul()).toBeUndefined();
        one = await startAgent("one");
      },
    },
  };

  test.each(Object.entries(ways))(
    "by %s is seen by all, ends what it has, and takes nothing new",
    async (_, way) => {
      await bothAvailable();
      const running = grpc.stream(InferenceService.method.chat, story(), { metadata: { "drover-node": "one" } });
      await vi.waitFor(async () => expect((await atRouter())?.ownAttempts).toBe(1), PATIENCE);
      const agent = createGrpcJsCaller(one.address);
      await way.begin();
      await vi.waitFor(async () => {
        const { condition } = await agent.unary(AgentService.method.getStatus, {});
        expect(condition).toMatchObject({ isDraining: true, drainReason: way.reason });
        const { Checks = [] } = (await inConsul()) ?? {};
        expect(Checks.find(({ CheckID }) => CheckID.startsWith("_service_maintenance:"))?.Notes).toBe(way.reason);
        const seen = await atRouter();
        expect(seen?.availability).toBe(NodeAvailability.DRAINING);
        expect(seen?.detail).toContain(way.reason);
      }, PATIENCE);
      agent.close();

      const fresh = Array.from({ length: 4 }, () => grpc.stream(InferenceService.method.chat, story()));
      const { error, messages, trailers } = await running;
      expect([error, messages.at(-1)?.event.case]).toEqual([undefined, "done"]);
      expect(trailers.get("drover-node")).toEqual(["one"]);
      for (const call of await Promise.all(fresh)) {
        expect([call.error, call.trailers.get("drover-node")]).toEqual([undefined, ["two"]]);
      }
      await way.end();
      await bothAvailable();
    },
    120_000,
  );
});
