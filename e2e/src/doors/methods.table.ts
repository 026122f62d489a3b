/** Every method that a router and an agent serve, with one call that goes well and one that does not. */
import type { DescMethod, JsonObject } from "@bufbuild/protobuf";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { Health } from "@drover/proto/grpc/health/v1/health_pb";
import { ServerReflection } from "@drover/proto/grpc/reflection/v1/reflection_pb";
import { ServerReflection as ServerReflectionV1Alpha } from "@drover/proto/grpc/reflection/v1alpha/reflection_pb";
import { expect } from "vitest";

export const CHAT_MODEL = "llama3.2:1b";
export const EMBED_MODEL = "nomic-embed-text:latest";
/** The node that is drained and resumed; both nodes have both models. */
export const SPARE = "spare";

export interface GoodCall {
  readonly request: JsonObject;
  /** The stream has no end: the caller leaves after so many messages. */
  readonly take?: number;
  /** What the messages are, or of a row of them the first and the last. */
  readonly first: unknown;
  readonly last?: unknown;
}

export interface BadCall {
  /** A deadline that is no number, where no request can be wrong. */
  readonly request: JsonObject | "malformed deadline";
  readonly code: string;
  /** Undefined for services that are not Drover's own. */
  readonly reason: string | undefined;
  readonly says: RegExp;
}

export interface MethodRow {
  readonly method: DescMethod;
  /** Undefined for what is in the contract and not in this version. */
  readonly good?: GoodCall;
  readonly bad: BadCall;
}

const text = expect.any(String);
const NO_MODEL = "nobody-has-this";

const malformedDeadline: BadCall = {
  request: "malformed deadline",
  code: "invalid_argument",
  reason: "MALFORMED_REQUEST",
  says: /^The metadata key (grpc-timeout|connect-timeout-ms) must be /,
};

const notBuilt = (method: DescMethod): MethodRow => ({
  method,
  bad: {
    request: { model: CHAT_MODEL },
    code: "unimplemented",
    reason: "NOT_IMPLEMENTED",
    says: new RegExp(method.name),
  },
});

function inference(lacksModel: Omit<BadCall, "request">): MethodRow[] {
  const { generate, chat, embed } = InferenceService.method;
  const messages = [{ role: "user", content: "Say hello." }];
  const options = { numPredict: 3 };
  const done = { done: { completion: { evalCount: 3, node: text } } };
  return [
    {
      method: generate,
      good: {
        request: { model: CHAT_MODEL, prompt: "Say hello.", options },
        first: { chunk: { response: text } },
        last: done,
      },
      bad: { request: { model: NO_MODEL }, ...lacksModel },
    },
    {
      method: chat,
      good: {
        request: { model: CHAT_MODEL, messages, options },
        first: { chunk: { message: { role: "assistant", content: text } } },
        last: done,
      },
      bad: { request: { model: NO_MODEL, messages }, ...lacksModel },
    },
    {
      method: embed,
      good: {
        request: { model: EMBED_MODEL, input: ["a"] },
        first: { model: EMBED_MODEL, embeddings: [{ values: expect.any(Array) }], node: text },
      },
      bad: { request: { model: NO_MODEL, input: ["a"] }, ...lacksModel },
    },
  ];
}

const serving = { status: "SERVING" };

function standardServices(service: string): MethodRow[] {
  const { check, watch, list } = Health.method;
  const listed = { listServicesResponse: { service: expect.arrayContaining([{ name: service }]) } };
  return [
    {
      method: check,
      good: { request: { service }, first: serving },
      bad: { request: { service: "nobody" }, code: "not_found", reason: undefined, says: /no service "nobody"/ },
    },
    { method: watch, good: { request: { service }, take: 1, first: serving }, bad: malformedDeadline },
    { method: list, good: { request: {}, first: { statuses: { [service]: serving } } }, bad: malformedDeadline },
    ...[ServerReflection, ServerReflectionV1Alpha].map(({ method: { serverReflectionInfo } }) => ({
      method: serverReflectionInfo,
      good: { request: { listServices: "" }, first: listed },
      bad: malformedDeadline,
    })),
  ];
}

const noModelAnywhere: Omit<BadCall, "request"> = {
  code: "not_found",
  reason: "MODEL_NOT_FOUND",
  says: /"nobody-has-this(:latest)?"/,
};

const router = RouterService.method;
const noNode: BadCall = {
  request: { node: "nobody" },
  code: "not_found",
  reason: "NODE_NOT_FOUND",
  says: /nobody.*spare/s,
};
const ofSpare = (availability: string) => ({ node: { identity: { name: SPARE }, availability } });

export const ROUTER_METHODS: readonly MethodRow[] = [
  ...inference(noModelAnywhere),
  {
    method: router.listNodes,
    good: { request: {}, first: { nodes: [{ identity: { name: "busy" } }, { identity: { name: SPARE } }] } },
    bad: malformedDeadline,
  },
  {
    method: router.watchFleet,
    good: { request: {}, take: 1, first: { snapshot: { nodes: [{ endpoint: text }, { endpoint: text }] } } },
    bad: malformedDeadline,
  },
  {
    method: router.listModels,
    good: { request: {}, first: { models: [{ name: CHAT_MODEL }, { name: EMBED_MODEL }] } },
    bad: malformedDeadline,
  },
  {
    method: router.selectNode,
    good: {
      request: { model: CHAT_MODEL },
      first: { ranking: [{ nodeName: text }, { nodeName: text }], policy: text },
    },
    bad: { request: { model: NO_MODEL }, ...noModelAnywhere },
  },
  {
    method: router.checkFeatures,
    good: { request: { model: CHAT_MODEL }, first: { model: { name: CHAT_MODEL, capabilities: expect.any(Array) } } },
    bad: { request: { model: NO_MODEL }, ...noModelAnywhere },
  },
  {
    method: router.estimateTokens,
    good: { request: { model: CHAT_MODEL, text: "four words of text" }, first: { tokens: expect.any(Number) } },
    bad: { request: { model: NO_MODEL, text: "a" }, ...noModelAnywhere },
  },
  {
    method: router.drainNode,
    good: { request: { node: SPARE, reason: "new fan" }, first: ofSpare("NODE_AVAILABILITY_DRAINING") },
    bad: noNode,
  },
  {
    method: router.resumeNode,
    good: { request: { node: SPARE }, first: ofSpare("NODE_AVAILABILITY_AVAILABLE") },
    bad: noNode,
  },
  notBuilt(router.showModel),
  notBuilt(router.loadModel),
  notBuilt(router.pullModel),
  notBuilt(router.unloadModel),
  notBuilt(router.deleteModel),
  ...standardServices(RouterService.typeName),
];

const agent = AgentService.method;
const noModelHere: Omit<BadCall, "request"> = {
  code: "not_found",
  reason: "NODE_LACKS_MODEL",
  says: /"nobody-has-this(:latest)?"/,
};

export const AGENT_METHODS: readonly MethodRow[] = [
  ...inference(noModelHere),
  {
    method: agent.attach,
    good: {
      request: { hello: { router: "a test", incarnation: "1" } },
      take: 2,
      first: { welcome: { node: { name: SPARE } } },
      last: { status: { inventory: { models: [{ name: CHAT_MODEL }, { name: EMBED_MODEL }] } } },
    },
    bad: { request: { gone: {} }, code: "invalid_argument", reason: "MALFORMED_REQUEST", says: /hello/i },
  },
  {
    method: agent.getStatus,
    good: { request: {}, first: { node: { name: SPARE }, condition: {} } },
    bad: malformedDeadline,
  },
  {
    method: agent.drain,
    good: { request: { reason: "new fan" }, first: { condition: { isDraining: true } } },
    bad: malformedDeadline,
  },
  { method: agent.resume, good: { request: {}, first: { condition: {} } }, bad: malformedDeadline },
  {
    method: agent.showModel,
    good: { request: { model: CHAT_MODEL }, first: { model: { name: CHAT_MODEL }, showJson: text } },
    bad: { request: { model: NO_MODEL }, ...noModelHere },
  },
  notBuilt(agent.loadModel),
  notBuilt(agent.pullModel),
  notBuilt(agent.unloadModel),
  notBuilt(agent.deleteModel),
  ...standardServices(AgentService.typeName),
];
