/** The worked example of docs/how-a-call-is-placed.md, with its nodes, their load and its numbers. */
import { readFileSync } from "node:fs";
import { decodeGrpcMessage } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller, type GrpcJsCaller } from "../src/grpc-js-caller.ts";

const PAGE = readFileSync(new URL("../../docs/how-a-call-is-placed.md", import.meta.url), "utf8");
const { chat } = InferenceService.method;
const { listNodes, selectNode, drainNode } = RouterService.method;
const MODEL = "llama3.2:1b";
const LIMIT = { timeout: 20_000 };

/** Name, flags, and whether it has the model. */
const NODES = [
  ["gpu-1", ["--slots", "4"], true],
  ["gpu-2", ["--slots", "2"], true],
  ["laptop", ["--weight", "50"], true],
  ["cpu-1", [], false],
  ["gpu-3", [], true],
] as const;

/** The order of nodes that may not take a call is that of their ids, which are random. */
function sentences(why: string): string[] {
  const [taken = "", ...others] = why.replace(/\s+/g, " ").trim().split("; ");
  return [taken, ...others.sort()];
}

const exampleOfPage = (): string => /```text why\n([^`]+)```/.exec(PAGE)?.[1] ?? "";

/** Name and cost of each row of the page's table. */
function costsOfPage(): [string, number][] {
  const table = PAGE.slice(PAGE.indexOf("| node | active + queued")).split("\n\n")[0] ?? "";
  return [...table.matchAll(/^\| `([a-z0-9-]+)` \|.*\| ([\d.]+) \|$/gm)].map(([, name = "", cost]) => [
    name,
    Number(cost),
  ]);
}

describe("the worked example of how a call is placed", () => {
  const ollamas: SimOllama[] = [];
  const agents: DroverProcess[] = [];
  let router: DroverProcess;
  let grpc: GrpcJsCaller;

  const say = (tokens: number, metadata: Record<string, string>) =>
    grpc.stream(
      chat,
      { model: MODEL, messages: [{ role: "user", content: "hi" }], options: { numPredict: tokens } },
      { metadata },
    );

  const ranking = async (): Promise<[string, number | undefined][]> => {
    const { ranking: ranked } = await grpc.unary(selectNode, { model: MODEL });
    return ranked.map(({ nodeName, cost }) => [nodeName, cost]);
  };

  /** Calls that run on until the end of the test. */
  const occupy = (node: string): void => void say(1_000, { "drover-node": node });

  beforeAll(async () => {
    for (const [name, flags, hasModel] of NODES) {
      const models = hasModel ? [MODEL] : ["other:1b"];
      const ollama = await createSimOllama({ models, slots: 4, speed: 5, loadSeconds: 0, answerTokens: 1_000 });
      ollamas.push(ollama);
      agents.push(await startDrover("agent", ["--ollama", ollama.url, "--name", name, ...flags]));
    }
    router = await startDrover("router", ["--nodes", agents.map(({ address }) => address).join(",")]);
    grpc = createGrpcJsCaller(router.address);
    await vi.waitFor(async () => {
      const { nodes } = await grpc.unary(listNodes, {});
      expect(nodes.filter((node) => node.availability === NodeAvailability.AVAILABLE)).toHaveLength(NODES.length);
    }, LIMIT);
    await Promise.all(["gpu-1", "gpu-2"].map((node) => say(1, { "drover-node": node })));
    await grpc.unary(drainNode, { node: "gpu-3", reason: "new driver" });
    for (const node of ["gpu-1", "gpu-1", "gpu-1", "gpu-2"]) occupy(node);
  }, 60_000);

  afterAll(async () => {
    grpc?.close();
    for (const program of [router, ...agents]) await program?.stop("SIGKILL");
    for (const ollama of ollamas) await ollama.close();
  });

  it("costs what the page says", async () => {
    expect(costsOfPage()).toHaveLength(3);
    await vi.waitFor(async () => expect(await ranking()).toEqual(costsOfPage()), LIMIT);
  });

  it("is told to the caller in the words of the page", async () => {
    await vi.waitFor(async () => {
      const { ranking: ranked } = await grpc.unary(selectNode, { model: MODEL });
      expect(ranked.map(({ terms }) => terms["unseen"])).toEqual([0, 0, 0]);
    }, LIMIT);
    const { trailers, error } = await say(1, { "drover-why": "1" });
    expect(error).toBeUndefined();
    const why = decodeGrpcMessage(String(trailers.get("drover-why")[0]));
    expect(sentences(why)).toEqual(sentences(exampleOfPage()));
  });

  it("goes to gpu-1 next, when the call on gpu-2 runs on", async () => {
    occupy("gpu-2");
    await vi.waitFor(
      async () =>
        expect((await ranking()).slice(0, 2)).toEqual([
          ["gpu-1", 0.0075],
          ["gpu-2", 0.01],
        ]),
      LIMIT,
    );
  });
});
