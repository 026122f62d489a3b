/**
 * A fleet behind connect's transport in memory, for tests of the provider: nodes whose answers a test scripts, ranked in their order.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createRouterTransport, type HandlerContext } from "@connectrpc/connect";
import {
  type ChatResponseSchema,
  type GenerateResponseSchema,
  InferenceService,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { NodeAvailability, NodeSchema, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@drover/proto/grpc/health/v1/health_pb";
import { createClient } from "../../client/drover-client.ts";
import type { ProviderSource } from "../provider-port.ts";

export interface FakeNode {
  readonly name: string;
  readonly availability?: NodeAvailability;
  readonly models?: readonly string[];
  readonly embeds?: readonly string[];
  /** Why it may not be ranked. */
  readonly excluded?: string;
  /** What its calls fail with before their first token. */
  readonly fails?: "NODE_UNREACHABLE" | "REQUEST_REJECTED";
  /** Whether its answers stop after their first token until the caller leaves. */
  readonly isEndless?: boolean;
  /** Whether its calls wait before their first token until the caller leaves. */
  readonly isAway?: boolean;
  readonly ttftMs?: number;
}

export interface FakeFleet {
  nodes: readonly FakeNode[];
  /** Headers of the calls to models, in their order. */
  readonly calls: Headers[];
  /** Questions for the list of nodes. */
  listed: number;
  /** The deadlines of questions about the fleet in ms, as they were sent. */
  readonly askedWithin: Set<string | null>;
  /** Thrown where a node list is asked for. */
  listFails: ConnectError | undefined;
  /** Whether a list is not answered until its caller leaves. */
  listHangs: boolean;
  /** Whether nodes are ranked by how many calls they had, instead of in their order. */
  ranksByCalls: boolean;
  opened: number;
  readonly source: ProviderSource;
}

export function fakeFleet(...nodes: readonly FakeNode[]): FakeFleet {
  const transport = createRouterTransport((router) => {
    router.service(InferenceService, {
      generate: (_request, context) => answer(fleet, context, generated),
      chat: (_request, context) => answer(fleet, context, chatted),
      embed: async ({ input }, context) => {
        if (placed(fleet, context).isAway === true) await leaving(context);
        return { embeddings: input.map(() => ({ values: [1, 2] })) };
      },
    });
    router.service(RouterService, {
      listNodes: async (_request, { signal, requestHeader }) => {
        fleet.askedWithin.add(requestHeader.get("connect-timeout-ms"));
        fleet.listed++;
        if (fleet.listHangs) await new Promise((resolve) => signal.addEventListener("abort", resolve));
        if (fleet.listFails !== undefined) throw fleet.listFails;
        return { nodes: fleet.nodes.map(nodeMessage) };
      },
      listModels: () => ({ models: models(fleet.nodes) }),
      checkFeatures: ({ model: name }) => {
        const model = models(fleet.nodes).find((each) => each.name === name);
        if (model === undefined) throw failure(Code.NotFound, "MODEL_NOT_FOUND");
        return { model };
      },
      selectNode: ({ node }) => ({
        policy: "weighted",
        instead: "Nobody has it.",
        ranking: inOrder(fleet)
          .filter((each) => each.excluded === undefined && (node === "" || node === each.name))
          .map(({ name }, index) => ({
            nodeId: `id-${name}`,
            nodeName: name,
            cost: index,
            terms: { active: index, slots: 1 },
          })),
        excluded: fleet.nodes.flatMap(({ name, excluded: reason }) =>
          reason === undefined ? [] : [{ nodeId: `id-${name}`, nodeName: name, reason }],
        ),
      }),
    });
    router.service(Health, { check: () => ({ status: Status.SERVING }) });
  });
  const fleet: FakeFleet = {
    nodes,
    calls: [],
    listed: 0,
    askedWithin: new Set(),
    listFails: undefined,
    listHangs: false,
    ranksByCalls: false,
    opened: 0,
    source: {
      target: "the fleet of this test",
      open: () => {
        fleet.opened++;
        return { client: createClient({ openTransport: () => ({ transport, close: () => undefined }) }, {}) };
      },
    },
  };
  return fleet;
}

type ChatPiece = MessageInitShape<typeof ChatResponseSchema>;
type GeneratePiece = MessageInitShape<typeof GenerateResponseSchema>;

async function* answer<Message>(
  fleet: FakeFleet,
  context: HandlerContext,
  [chunk, done]: readonly [Message, Message],
): AsyncGenerator<Message> {
  const node = placed(fleet, context);
  if (node.isAway === true) await leaving(context);
  context.responseTrailer.set("drover-node", node.name);
  context.responseTrailer.set("drover-attempts", "1");
  context.responseTrailer.set("drover-ttft-ms", String(node.ttftMs ?? 20));
  yield chunk;
  if (node.isEndless === true) await leaving(context);
  yield done;
}

const leaving = ({ signal }: HandlerContext): Promise<unknown> =>
  new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));

const completion = { doneReason: "stop", evalCount: 1 };
const generated: readonly [GeneratePiece, GeneratePiece] = [
  { event: { case: "chunk", value: { response: "Hello" } } },
  { event: { case: "done", value: { completion } } },
];
const chatted: readonly [ChatPiece, ChatPiece] = [
  { event: { case: "chunk", value: { message: { role: "assistant", content: "Hello" } } } },
  { event: { case: "done", value: { completion } } },
];

/** The node that a call goes to: the one it names, else the first that takes work. */
function placed(fleet: FakeFleet, { requestHeader }: HandlerContext): FakeNode {
  fleet.calls.push(requestHeader);
  const wanted = requestHeader.get("drover-node");
  const node = fleet.nodes.find(({ name }) => wanted === null || wanted === name || wanted === `id-${name}`);
  if (node === undefined) throw failure(Code.NotFound, "NODE_NOT_FOUND");
  if (node.fails !== undefined) throw failure(Code.Unavailable, node.fails);
  return node;
}

function inOrder({ nodes, calls, ranksByCalls }: FakeFleet): readonly FakeNode[] {
  if (!ranksByCalls) return nodes;
  const had = ({ name }: FakeNode) => calls.filter((headers) => headers.get("drover-node") === `id-${name}`).length;
  return [...nodes].sort((a, b) => had(a) - had(b));
}

export function failure(code: Code, reason: string): ConnectError {
  return new ConnectError(`It failed: ${reason}.`, code, undefined, [
    { desc: ErrorInfoSchema, value: { reason, domain: "drover" } },
  ]);
}

function nodeMessage({ name, availability = NodeAvailability.AVAILABLE, models: names = [] }: FakeNode) {
  const isKnown = availability !== NodeAvailability.CONNECTING && availability !== NodeAvailability.UNREACHABLE;
  return create(NodeSchema, {
    endpoint: `${name}:50052`,
    availability,
    detail: availability === NodeAvailability.UNREACHABLE ? "connection refused" : "",
    ...(isKnown ? { identity: { id: `id-${name}`, name } } : {}),
    inventory: { models: names.map((model) => ({ name: model })) },
    load: { active: 1, queued: 2 },
    totals: { attempts: 3n, failedAttempts: 1n, promptTokens: 10n, generatedTokens: 20n },
  });
}

function models(nodes: readonly FakeNode[]) {
  const names = new Set(nodes.flatMap(({ models = [], embeds = [] }) => [...models, ...embeds]));
  return [...names].map((name) => ({
    name,
    capabilities: nodes.some(({ embeds = [] }) => embeds.includes(name)) ? ["embedding"] : ["completion"],
    copies: nodes
      .filter(({ models = [], embeds = [] }) => [...models, ...embeds].includes(name))
      .map((node) => ({ nodeId: `id-${node.name}`, nodeName: node.name })),
  }));
}
