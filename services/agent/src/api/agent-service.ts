/** AgentService: what routers and operators ask of one machine. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { DroverError, peerOf } from "@drover/platform";
import {
  type AgentService,
  DrainResponseSchema,
  GetStatusResponseSchema,
  ResumeResponseSchema,
  type ShowModelRequest,
  type ShowModelResponse,
  ShowModelResponseSchema,
} from "@drover/proto/drover/agent/v1/agent_pb";
import type { ModelDirectory } from "../models/model-directory.ts";
import { showModel } from "../ollama/ollama-api.ts";
import type { OllamaAsker } from "../ollama/ollama-client.ts";
import { classifyOllamaFailure, ollamaUnreachable } from "../ollama/ollama-error.ts";
import { buildModel } from "../status/model-inventory.ts";
import type { NodeCondition } from "../status/node-condition.ts";
import { type AttachDeps, attach } from "./attach-session.ts";

export interface AgentServiceDeps extends AttachDeps {
  readonly client: OllamaAsker;
  readonly directory: ModelDirectory;
  readonly condition: NodeCondition;
}

export function createAgentService(deps: AgentServiceDeps): ServiceImpl<typeof AgentService> {
  const { condition, source } = deps;
  return {
    attach: (requests, context) =>
      attach(deps, requests, { signal: context.signal, address: peerOf(context.values).address }),
    getStatus: () =>
      create(GetStatusResponseSchema, {
        node: source.identity,
        condition: source.condition(),
        inventory: source.inventory(),
        load: source.load(),
      }),
    drain: ({ reason }) => {
      condition.drain(reason);
      deps.log.info({ reason }, "the node drains: it takes no new calls");
      return create(DrainResponseSchema, { condition: condition.build() });
    },
    resume: () => {
      condition.resume();
      deps.log.info("the node takes calls again");
      return create(ResumeResponseSchema, { condition: condition.build() });
    },
    showModel: (request) => show(deps, request),
    loadModel: () => notBuilt("LoadModel", `An empty prompt to Generate loads a model.`),
    pullModel: () => notBuilt("PullModel", `Run "ollama pull" on the machine.`),
    unloadModel: () => notBuilt("UnloadModel", `Run "ollama stop" on the machine.`),
    deleteModel: () => notBuilt("DeleteModel", `Run "ollama rm" on the machine.`),
  };
}

function notBuilt(method: string, instead: string): never {
  throw new DroverError("not_implemented", `This agent has no ${method} yet. ${instead}`);
}

async function show(deps: AgentServiceDeps, request: ShowModelRequest): Promise<ShowModelResponse> {
  const node = deps.source.identity.name;
  const model = await deps.directory.resolve(request.model);
  const context = { node, model: request.model };
  const answer = await showModel(deps.client, model.name, request.verbose).catch((cause: unknown) => {
    throw ollamaUnreachable(context, cause);
  });
  if (answer.status !== 200) throw classifyOllamaFailure({ ...context, ...answer, isEmbed: false });
  return create(ShowModelResponseSchema, { model: buildModel(model), showJson: answer.text });
}
