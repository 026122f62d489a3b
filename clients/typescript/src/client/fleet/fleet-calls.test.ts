import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import {
  NodeAvailability,
  type NodeSchema,
  RouterService,
  WatchFleetResponseSchema,
} from "@drover/proto/drover/router/v1/router_pb";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@drover/proto/grpc/health/v1/health_pb";
import { describe, expect, it } from "vitest";
import { createDroverClient } from "../../browser.ts";
import type { FleetChange } from "./fleet-change.ts";

function clientOf(service: Partial<ServiceImpl<typeof RouterService>>) {
  return createDroverClient({ transport: createRouterTransport((router) => router.service(RouterService, service)) });
}

const second = { seconds: 1n, nanos: 500_000_000 };

const NODE: MessageInitShape<typeof NodeSchema> = {
  identity: { id: "id-1", name: "one", version: "0.1.0", labels: { gpu: "a100" }, baseWeight: 100 },
  endpoint: "10.0.0.1:50052",
  availability: NodeAvailability.DRAINING,
  detail: "draining: new fan",
  condition: { ollamaVersion: "0.24.0" },
  inventory: {
    models: [{ name: "a:latest", digest: "d", sizeBytes: 5n, capabilities: ["tools"], contextLength: 8, family: "f" }],
  },
  load: {
    ...{ active: 1, queued: 2, queueLimit: 3, slotsPerRunner: 4 },
    runners: [RunnerState.LOADING, RunnerState.LOADED, RunnerState.CLOSING, RunnerState.UNSPECIFIED].map((state) => ({
      ...{ model: "a:latest", state, slots: 4, active: 1, queued: 2, contextLength: 8, sizeBytes: 5n, vramBytes: 4n },
    })),
  },
  totals: { attempts: 9n, failedAttempts: 1n, promptTokens: 10n, generatedTokens: 20n },
  ...{ ownAttempts: 1, healthScore: 0.5, statusAge: second, sources: ["static"], isNameShared: true },
};

describe("a node", () => {
  it("is shown in words, numbers and ms, so that JSON can hold it", async () => {
    const [node] = await clientOf({ listNodes: () => ({ nodes: [NODE] }) }).fleet.listNodes();
    expect(JSON.parse(JSON.stringify(node))).toEqual({
      ...{ id: "id-1", name: "one", endpoint: "10.0.0.1:50052", availability: "draining", detail: "draining: new fan" },
      ...{ labels: { gpu: "a100" }, baseWeight: 100, version: "0.1.0", ollamaVersion: "0.24.0" },
      models: [
        {
          name: "a:latest",
          digest: "d",
          sizeBytes: 5,
          capabilities: ["tools"],
          contextLength: 8,
          family: "f",
          parameterSize: "",
          quantizationLevel: "",
        },
      ],
      load: {
        ...{ active: 1, queued: 2, queueLimit: 3, slotsPerRunner: 4 },
        runners: ["loading", "loaded", "closing", "unknown"].map((state) => ({
          ...{ model: "a:latest", state, slots: 4, active: 1, queued: 2, contextLength: 8, sizeBytes: 5, vramBytes: 4 },
        })),
      },
      totals: { attempts: 9, failedAttempts: 1, promptTokens: 10, generatedTokens: 20 },
      ...{ ownAttempts: 1, healthScore: 0.5, statusAgeMs: 1_500, sources: ["static"], isNameShared: true },
    });
  });

  it("of which nothing is known yet is shown all the same, as is one in a state of a newer router", async () => {
    const nodes = [{ endpoint: "a:1", availability: NodeAvailability.CONNECTING }, { availability: 99 as never }];
    const [fresh, newer] = await clientOf({ listNodes: () => ({ nodes }) }).fleet.listNodes();
    expect(fresh).toMatchObject({ id: "", name: "", endpoint: "a:1", availability: "connecting", models: [] });
    expect(fresh).toMatchObject({ load: { active: 0, runners: [] }, totals: { attempts: 0 }, healthScore: undefined });
    expect(newer?.availability).toBe("unknown");
  });
});

describe("questions about the fleet", () => {
  const model = {
    ...{ name: "a:latest", capabilities: ["tools"], contextLength: 8, sizeBytes: 5n },
    copies: [{ nodeId: "id-1", nodeName: "one", digest: "d", isLoaded: true, loadedContextLength: 4 }],
  };
  const shown = { ...model, sizeBytes: 5 };

  it("tell of models", async () => {
    const client = clientOf({ listModels: () => ({ models: [model] }), checkFeatures: () => ({ model }) });
    expect(await client.fleet.listModels()).toMatchObject([shown]);
    expect(await client.fleet.checkFeatures("a")).toMatchObject(shown);
  });

  it("tell where a call would go, and why", async () => {
    const asked: unknown[] = [];
    const client = clientOf({
      selectNode: (request) => {
        const { $typeName: _, ...fields } = request;
        asked.push(fields);
        const ranking = [
          { nodeId: "id-1", nodeName: "one", cost: 0, expectedTimeToFirstToken: second, terms: { active: 0 } },
        ];
        const excluded = [{ nodeId: "id-2", nodeName: "two", reason: "draining: new fan" }];
        return { ranking, excluded, policy: "weighted", instead: "" };
      },
    });
    const input = {
      model: "a",
      labels: { gpu: "a100" },
      capabilities: ["tools"],
      session: "s",
      promptTokens: 5,
      node: "one",
    };
    expect(await client.fleet.selectNode(input)).toEqual({
      ranking: [
        {
          nodeId: "id-1",
          nodeName: "one",
          cost: 0,
          expectedTimeToFirstTokenMs: 1_500,
          terms: { active: 0 },
          detail: "",
        },
      ],
      excluded: [{ nodeId: "id-2", nodeName: "two", reason: "draining: new fan", endpoint: "" }],
      ...{ policy: "weighted", instead: "" },
    });
    await client.fleet.selectNode({ model: "a", session: undefined });
    expect(asked).toEqual([
      { ...input, runnerOptionsJson: "" },
      { model: "a", labels: {}, capabilities: [], promptTokens: 0, session: "", runnerOptionsJson: "", node: "" },
    ]);
  });

  it("tell how long a text is", async () => {
    const client = clientOf({
      estimateTokens: ({ text, messages }) => ({ tokens: text.length + messages.length, bytesPerToken: 4 }),
    });
    const input = { model: "a", text: "four", messages: [{ role: "user", content: "x" }] };
    expect(await client.fleet.estimateTokens(input)).toEqual({ tokens: 5, bytesPerToken: 4, isLearned: false });
    expect((await client.fleet.estimateTokens({ model: "a" })).tokens).toBe(0);
  });

  it("drain a node and let it work again", async () => {
    const client = clientOf({
      drainNode: ({ node, reason }) => ({ node: { ...NODE, detail: `${node}: ${reason}` } }),
      resumeNode: () => ({ node: { ...NODE, availability: NodeAvailability.AVAILABLE } }),
    });
    expect((await client.fleet.drainNode("one", "new fan")).detail).toBe("one: new fan");
    expect((await client.fleet.drainNode("one")).detail).toBe("one: ");
    expect((await client.fleet.resumeNode("one")).availability).toBe("available");
  });

  it("fail as calls do", async () => {
    const client = clientOf({ drainNode: () => ({}) });
    await expect(client.fleet.drainNode("one")).rejects.toMatchObject({ reason: "PROTOCOL_ERROR" });
    await expect(client.fleet.listNodes()).rejects.toMatchObject({ reason: "UNSPECIFIED", status: "UNIMPLEMENTED" });
    const aborted = client.fleet.listModels({ signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ reason: "CANCELLED" });
  });
});

describe("watching the fleet", () => {
  type Event = MessageInitShape<typeof WatchFleetResponseSchema>["event"];

  it("gives a snapshot, then each change, and nothing of what a newer router may add", async () => {
    const key = { id: "id-1", endpoint: "a:1" };
    const events: Event[] = [
      { case: "snapshot", value: { nodes: [NODE], continues: true } },
      { case: undefined },
      { case: "nodeChanged", value: { node: NODE, reason: "joined" } },
      { case: "nodeChanged", value: { reason: "of nothing" } },
      { case: "nodeLoadChanged", value: { ...key, load: { active: 2 }, ownAttempts: 1, healthScore: 1 } },
      { case: "nodeRemoved", value: { ...key, reason: "left" } },
    ];
    const client = clientOf({
      async *watchFleet() {
        for (const event of events) yield create(WatchFleetResponseSchema, event === undefined ? {} : { event });
      },
    });
    const changes: FleetChange[] = [];
    for await (const change of client.fleet.watch()) changes.push(change);
    expect(changes).toMatchObject([
      { kind: "snapshot", nodes: [{ name: "one" }], continues: true },
      { kind: "node-changed", node: { name: "one" }, reason: "joined" },
      { kind: "load-changed", ...key, load: { active: 2 }, totals: { attempts: 0 }, ownAttempts: 1, healthScore: 1 },
      { kind: "node-removed", ...key, reason: "left" },
    ]);
  });

  it("ends at the router when its loop is left, and fails as calls do", async () => {
    const { promise: left, resolve } = Promise.withResolvers<unknown>();
    const client = clientOf({
      async *watchFleet(_, { signal }) {
        signal.addEventListener("abort", resolve);
        yield create(WatchFleetResponseSchema, { event: { case: "snapshot", value: {} } });
        throw new ConnectError("this router stops", Code.Unavailable);
      },
    });
    for await (const _ of client.fleet.watch()) break;
    await left;
    const whole = (async () => {
      for await (const _ of client.fleet.watch());
    })();
    await expect(whole).rejects.toMatchObject({ status: "UNAVAILABLE", message: "this router stops" });
  });
});

describe("health", () => {
  it("is gRPC's own word", async () => {
    const transport = createRouterTransport((router) =>
      router.service(Health, {
        check: ({ service }) => {
          const known: Record<string, Status> = {
            "": Status.SERVING,
            down: Status.NOT_SERVING,
            odd: Status.SERVICE_UNKNOWN,
          };
          if (service === "none") throw new ConnectError("unknown service", Code.NotFound);
          if (service === "secret") throw new ConnectError("who are you?", Code.Unauthenticated);
          return { status: known[service] ?? Status.UNKNOWN };
        },
      }),
    );
    await using client = createDroverClient({ transport });
    const asked = ["down", "odd", "new", "none"].map((service) => client.health(service));
    expect(await client.health()).toBe("SERVING");
    expect(await Promise.all(asked)).toEqual(["NOT_SERVING", "SERVICE_UNKNOWN", "UNKNOWN", "SERVICE_UNKNOWN"]);
    await expect(client.health("secret")).rejects.toMatchObject({ status: "UNAUTHENTICATED" });
  });
});
