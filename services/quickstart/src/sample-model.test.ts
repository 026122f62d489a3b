import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ModelInventorySchema, NodeLoadSchema, RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { describe, expect, test } from "vitest";
import { chooseSampleModel, isSettled, type NodeReport } from "./sample-model.ts";

const GB = 1_000_000_000;

interface TestModel {
  readonly name: string;
  readonly gb: number;
  readonly can?: readonly string[];
  readonly remoteHost?: string;
}

function node(
  models: readonly TestModel[],
  runners: MessageInitShape<typeof NodeLoadSchema>["runners"] = [],
): NodeReport {
  return {
    inventory: create(ModelInventorySchema, {
      isComplete: true,
      models: models.map(({ name, gb, can = ["completion"], remoteHost = "" }) => ({
        name,
        sizeBytes: BigInt(gb * GB),
        capabilities: [...can],
        remoteHost,
      })),
    }),
    load: create(NodeLoadSchema, { runners }),
  };
}

describe("the model of the sample", () => {
  test("is the smallest one on any disk that can chat", () => {
    const nodes = [
      node([
        { name: "large:7b", gb: 3.9 },
        { name: "embed:latest", gb: 0.1, can: ["embedding"] },
      ]),
      node([
        { name: "small:1b", gb: 1, can: ["completion", "thinking"] },
        { name: "both:latest", gb: 0.2, can: ["completion", "embedding"] },
      ]),
    ];
    expect(chooseSampleModel(nodes)).toEqual({ name: "small:1b", isLoaded: false, canThink: true });
  });

  test("is one in memory before a smaller one on disk, whatever its size and the case of its name", () => {
    const loaded = { model: "Huge:70B", state: RunnerState.LOADED };
    const nodes = [node([{ name: "small:1b", gb: 1 }]), node([{ name: "huge:70b", gb: 40 }], [loaded])];
    expect(chooseSampleModel(nodes)).toEqual({ name: "huge:70b", isLoaded: true, canThink: false });
  });

  test("is none of 4 GB and more that would have to be loaded, none in the cloud, none while nobody has reported", () => {
    const loading = { model: "huge:70b", state: RunnerState.LOADING };
    expect(chooseSampleModel([node([{ name: "huge:70b", gb: 4 }], [loading])])).toBeUndefined();
    expect(chooseSampleModel([node([{ name: "far:1b", gb: 0, remoteHost: "https://ollama.com" }])])).toBeUndefined();
    expect(chooseSampleModel([{}, node([])])).toBeUndefined();
  });
});

test("a report is settled once it says what every model can do", () => {
  expect(isSettled({})).toBe(false);
  expect(isSettled({ inventory: create(ModelInventorySchema, { isComplete: false }) })).toBe(false);
  expect(isSettled(node([]))).toBe(true);
  expect(isSettled(node([{ name: "a:1b", gb: 1 }]))).toBe(true);
  expect(isSettled(node([{ name: "a:1b", gb: 1, can: [] }]))).toBe(false);
});
