import { toBinary } from "@bufbuild/protobuf";
import { silentLogger } from "@drover/platform";
import { ModelInventorySchema, NodeLoadSchema, RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { describe, expect, test } from "vitest";
import { AttachedRouters, MAX_ATTACHED_ROUTERS, MAX_ROUTERS_PER_ADDRESS } from "./attached-routers.ts";
import { buildModelInventory, createModelInventory, INVENTORY_BYTES, type InstalledModel } from "./model-inventory.ts";
import { NodeCondition } from "./node-condition.ts";
import { buildNodeLoad, type RunnerSnapshot } from "./node-load.ts";
import { createStatusChanges, type StatusPart } from "./status-changes.ts";

const runner = (fields: Partial<RunnerSnapshot> = {}): RunnerSnapshot => ({
  model: "m:latest",
  weightsKey: "w",
  optionsJson: "",
  state: "loaded",
  slots: 2,
  active: 1,
  cooling: 0,
  queued: 3,
  seen: { name: "m:latest", weightsKey: "m", contextLength: 4096, sizeBytes: 5e9, vramBytes: 4e9 },
  loadingForMs: undefined,
  rates: { prefillTokensPerSecond: 250, msPerToken: [10, 15], loadMs: 1_500 },
  ...fields,
});

describe("the load of a node", () => {
  test("tells runners, queue and slots", () => {
    const load = buildNodeLoad(
      {
        runners: [runner({ cooling: 1, bytesPerToken: 4.5 })],
        queued: 3,
        queueLimit: 9,
        slotsPerRunner: 2,
        active: 1,
        cooling: 1,
      },
      () => [],
    );
    expect(load).toMatchObject({ queued: 3, queueLimit: 9, slotsPerRunner: 2, active: 1, cooling: 1 });
    expect(load.runners).toMatchObject([
      {
        model: "m:latest",
        state: RunnerState.LOADED,
        slots: 2,
        active: 1,
        cooling: 1,
        queued: 3,
        contextLength: 4096,
        sizeBytes: 5_000_000_000n,
        vramBytes: 4_000_000_000n,
        rates: {
          prefillTokensPerSecond: 250,
          msPerToken: [10, 15],
          loadTime: { seconds: 1n, nanos: 500_000_000 },
          bytesPerToken: 4.5,
        },
      },
    ]);
  });

  test("tells which other names a runner serves, up to 16", () => {
    const names = ["m:latest", ...Array.from({ length: 20 }, (_, i) => `n${i}`)];
    const load = { runners: [runner()], queued: 0, queueLimit: 9, slotsPerRunner: 2, active: 1, cooling: 0 };
    const [built] = buildNodeLoad(load, (weightsKey) => (weightsKey === "w" ? names : [])).runners;
    expect(built?.otherModels).toEqual(names.slice(1, 17));
  });

  test("tells since when a runner loads, and nothing that is not known", () => {
    const loading = runner({
      state: "loading",
      seen: undefined,
      loadingForMs: 250,
      rates: { prefillTokensPerSecond: undefined, msPerToken: [], loadMs: undefined },
    });
    const [built] = buildNodeLoad(
      {
        runners: [loading],
        queued: 0,
        queueLimit: 1,
        slotsPerRunner: 1,
        active: 0,
        cooling: 0,
      },
      () => [],
    ).runners;
    expect(built).toMatchObject({ state: RunnerState.LOADING, contextLength: 0, loadingFor: { nanos: 250_000_000 } });
    expect(built?.rates).toBeUndefined();
  });

  test("holds at most 256 runners", () => {
    const runners = Array.from({ length: 300 }, () => runner());
    const load = buildNodeLoad(
      { runners, queued: 0, queueLimit: 1, slotsPerRunner: 1, active: 0, cooling: 0 },
      () => [],
    );
    expect(load.runners).toHaveLength(256);
    expect(toBinary(NodeLoadSchema, load).length).toBeLessThan(1_000_000);
  });
});

describe("the inventory of a node", () => {
  test("is incomplete until it was read, and complete when there is nothing", () => {
    expect(buildModelInventory(undefined)).toMatchObject({ isComplete: false, models: [] });
    expect(buildModelInventory([])).toMatchObject({ isComplete: true, models: [] });
  });

  test("fits into a message of Attach however many models there are, and what is left out is logged once", () => {
    const models = Array.from(
      { length: 4_096 },
      (_, i): InstalledModel => ({
        name: `hf.co/somebody/A-Rather-Long-Model-Name-Instruct-GGUF-${i}:Q4_K_M`,
        modelKey: String(i),
        digest: "d".repeat(64),
        sizeBytes: 123_456_789,
        capabilities: ["completion", "tools", "thinking", "vision"],
        contextLength: 131_072,
        family: "llama",
        parameterSize: "8.0B",
        quantizationLevel: "Q4_K_M",
        weightsKey: "",
        runnerOptionsJson: "",
      }),
    );
    const warned: object[] = [];
    const warn = (fields: object | string): void => {
      if (typeof fields === "object") warned.push(fields);
    };
    const inventory = createModelInventory({ ...silentLogger, warn }, () => models);
    const built = inventory();
    const bytes = toBinary(ModelInventorySchema, built).length;
    expect(bytes).toBeLessThanOrEqual(INVENTORY_BYTES);
    expect(bytes).toBeGreaterThan(INVENTORY_BYTES * 0.95);
    expect(built.models.map((model) => model.name)).toEqual(models.slice(0, built.models.length).map((m) => m.name));
    inventory();
    expect(warned).toEqual([{ models: 4_096, leftOut: 4_096 - built.models.length }]);
  });
});

describe("the condition of a node", () => {
  test("tells changes of Ollama once, and drains with a reason of at most 256 characters", () => {
    let changes = 0;
    const condition = new NodeCondition(() => changes++);
    condition.setOllama(true, "0.24.0");
    condition.setOllama(true, "0.24.0");
    expect(changes).toBe(1);
    condition.drain("x".repeat(300));
    expect(condition.build()).toMatchObject({
      isDraining: true,
      drainReason: "x".repeat(256),
      ollamaVersion: "0.24.0",
    });
    condition.resume();
    expect(condition.build()).toMatchObject({ isDraining: false, drainReason: "" });
    condition.drain("");
    expect(condition.isDraining).toBe(true);
  });
});

describe("attached routers", () => {
  const hello = (incarnation: string, address = "10.0.0.1") => ({ name: "r", incarnation, address });

  test("are found by their secret, which is new for each stream", () => {
    const routers = new AttachedRouters(() => undefined);
    const first = routers.add(hello("1"));
    const second = routers.add(hello("2"));
    expect(first?.secret).not.toBe(second?.secret);
    expect(routers.find(first?.secret)).toBe(first);
    if (first !== undefined) routers.remove(first);
    expect(routers.find(first?.secret)).toBeUndefined();
    expect(routers.find(undefined)).toBeUndefined();
  });

  test("are at most 64, and one that leaves makes room", () => {
    const routers = new AttachedRouters(() => undefined);
    const all = Array.from({ length: MAX_ATTACHED_ROUTERS }, (_, i) => routers.add(hello(`${i}`, `10.0.0.${i}`)));
    expect(routers.add(hello("x", "10.0.1.1"))).toBeUndefined();
    if (all[0] !== undefined) routers.remove(all[0]);
    expect(routers.add(hello("x", "10.0.1.1"))).toBeDefined();
  });

  test("are at most 8 from one address, which keeps nobody else out", () => {
    const routers = new AttachedRouters(() => undefined);
    const all = Array.from({ length: MAX_ROUTERS_PER_ADDRESS }, (_, i) => routers.add(hello(String(i))));
    expect(all).not.toContain(undefined);
    expect(routers.add(hello("one too many"))).toBeUndefined();
    expect(routers.add(hello("one too many", "10.0.0.2"))).toBeDefined();
  });

  test("give the place of an older stream to a newer one of the same incarnation and address only", () => {
    const routers = new AttachedRouters(() => undefined);
    const all = Array.from({ length: MAX_ROUTERS_PER_ADDRESS }, (_, i) => routers.add(hello(String(i))));
    const elsewhere = routers.add(hello("0", "10.0.0.2"));
    const newer = routers.add(hello("0"));
    expect(routers.find(newer?.secret)).toBe(newer);
    expect(routers.find(all[0]?.secret)).toBeUndefined();
    expect([all[0]?.replaced.aborted, all[1]?.replaced.aborted, elsewhere?.replaced.aborted]).toEqual([
      true,
      false,
      false,
    ]);
    if (all[0] !== undefined) routers.remove(all[0]);
    expect(routers.find(newer?.secret)).toBe(newer);
  });

  test("without an incarnation replace nobody", () => {
    const routers = new AttachedRouters(() => undefined);
    const first = routers.add(hello(""));
    routers.add(hello(""));
    expect(routers.find(first?.secret)).toBe(first);
  });

  test("are acknowledged upwards only, and each step is told", () => {
    let told = 0;
    const routers = new AttachedRouters(() => told++);
    const router = routers.add(hello("1"));
    if (router === undefined) throw new Error("there is room");
    for (const send of [2, 1, 2, 5]) routers.acknowledge(router, send);
    expect([router.ackedSend, told]).toEqual([5, 2]);
  });
});

describe("status changes", () => {
  test("reach all who follow, until they no longer do", () => {
    const changes = createStatusChanges();
    const seen: StatusPart[] = [];
    const stop = changes.subscribe((part) => seen.push(part));
    changes.subscribe((part) => seen.push(part));
    changes.mark("load");
    stop();
    changes.mark("condition");
    expect(seen).toEqual(["load", "load", "condition"]);
  });
});
