/**
 * Questions about the fleet and its changes, as a router answers them. An agent alone does not: UNIMPLEMENTED.
 */
import { type Model, RouterService, type SelectNodeResponse } from "@drover/proto/drover/router/v1/router_pb";
import { clientError } from "../../errors/drover-error.ts";
import type { CallOptions } from "../call-options.ts";
import type { ChatMessage } from "../chat.ts";
import { defined } from "../model-options.ts";
import { optionalMs } from "../progress.ts";
import { callStream, callUnary, type Sending } from "../sending.ts";
import { type FleetChange, fleetChange } from "./fleet-change.ts";
import { type FleetNode, fleetNode } from "./fleet-node.ts";

/** Of CallOptions what means something for these calls. */
export type FleetCallOptions = Pick<CallOptions, "signal" | "timeoutMs" | "headers">;

/** A model of the fleet: all copies whose names are equal by Ollama's rules. */
export interface FleetModel {
  /** Ollama's name with its tag. */
  readonly name: string;
  /** What any of its copies can do, in Ollama's words. */
  readonly capabilities: readonly string[];
  /** The largest of any copy, in tokens; 0: not known. */
  readonly contextLength: number;
  readonly sizeBytes: number;
  /** One for each node that has it. */
  readonly copies: readonly ModelCopy[];
}

/** A model on one node. */
export interface ModelCopy {
  readonly nodeId: string;
  readonly nodeName: string;
  /** Equal digests are the same model. */
  readonly digest: string;
  /** Whether it is in memory now. */
  readonly isLoaded: boolean;
  /** The context that it has in memory, in tokens; 0: not known. */
  readonly loadedContextLength: number;
}

/** What a call would ask for. */
export interface SelectNodeInput {
  readonly model: string;
  /** Only nodes with all these labels. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** In Ollama's words: "tools", "vision", … */
  readonly capabilities?: readonly string[] | undefined;
  /** Estimated tokens of the prompt. */
  readonly promptTokens?: number | undefined;
  /** As CallOptions.session. */
  readonly session?: string | undefined;
  /** Id or name: this one and no other. */
  readonly node?: string | undefined;
}

/** Where a call would go, and why. */
export interface NodeSelection {
  /** Best first; the first is what the next call like this would get. Empty: none could take it. */
  readonly ranking: readonly RankedNode[];
  /** Nodes that could not take it, each with its reason. */
  readonly excluded: readonly ExcludedNode[];
  /** The policy that ranked. */
  readonly policy: string;
  /** What a call would be told where `ranking` is empty. */
  readonly instead: string;
}

/** A node that could take the call. */
export interface RankedNode {
  readonly nodeId: string;
  readonly nodeName: string;
  /** Smaller is better; comparable within one ranking. */
  readonly cost: number | undefined;
  /** Undefined for policies that do not predict. */
  readonly expectedTimeToFirstTokenMs: number | undefined;
  /** What the cost is made of, by name. */
  readonly terms: Readonly<Record<string, number>>;
  /** Why it stands behind all others, or empty. */
  readonly detail: string;
}

/** A node that could not. */
export interface ExcludedNode {
  readonly nodeId: string;
  readonly nodeName: string;
  /** In plain words. */
  readonly reason: string;
  /** All that is known of a node whose agent never answered. */
  readonly endpoint: string;
}

/** How long a text is, about. */
export interface TokenEstimate {
  readonly tokens: number;
  /** Bytes of UTF-8 per token that the estimate used. */
  readonly bytesPerToken: number;
  /** Whether it was learned from this model; else it is what English text usually has. */
  readonly isLearned: boolean;
}

/** `text`, `messages` or both. */
export interface EstimateTokensInput {
  readonly model: string;
  readonly text?: string | undefined;
  /** Images are not counted. */
  readonly messages?: readonly Pick<ChatMessage, "role" | "content">[] | undefined;
}

/** The fleet behind a router. */
export interface FleetCalls {
  /** Every node that discovery knows, reachable or not, by name. */
  listNodes(options?: FleetCallOptions): Promise<readonly FleetNode[]>;
  /** The models of all reachable nodes, by name. */
  listModels(options?: FleetCallOptions): Promise<readonly FleetModel[]>;
  /** Where a call like this would go now, and why. Sends nothing to any node. MODEL_NOT_FOUND names the nearest models. */
  selectNode(input: SelectNodeInput, options?: FleetCallOptions): Promise<NodeSelection>;
  /** What a model can do and where. */
  checkFeatures(model: string, options?: FleetCallOptions): Promise<FleetModel>;
  /** How many tokens a text will be; an estimate without a tokenizer. */
  estimateTokens(input: EstimateTokensInput, options?: FleetCallOptions): Promise<TokenEstimate>;
  /** The fleet as it is, then each change. Leaving the loop ends it; it fails when the router stops: watch again. */
  watch(options?: FleetCallOptions): AsyncIterable<FleetChange>;
  /** The node (id or name) takes no new work and finishes what it has. Needs the router's machine or the admin token. */
  drainNode(node: string, reason?: string, options?: FleetCallOptions): Promise<FleetNode>;
  /** The node takes new work again. */
  resumeNode(node: string, options?: FleetCallOptions): Promise<FleetNode>;
}

const { listNodes, listModels, selectNode, checkFeatures, estimateTokens, watchFleet, drainNode, resumeNode } =
  RouterService.method;

export function fleetCalls(sending: Sending): FleetCalls {
  return {
    listNodes: async (options) => (await callUnary(sending, listNodes, {}, options)).message.nodes.map(fleetNode),
    listModels: async (options) => (await callUnary(sending, listModels, {}, options)).message.models.map(fleetModel),
    selectNode: async ({ labels, capabilities, ...input }, options) => {
      const lists = { labels: { ...labels }, capabilities: [...(capabilities ?? [])] };
      const { message } = await callUnary(sending, selectNode, defined({ ...input, ...lists }), options);
      return nodeSelection(message);
    },
    checkFeatures: async (model, options) => {
      const { message } = await callUnary(sending, checkFeatures, { model }, options);
      return fleetModel(told(message.model));
    },
    estimateTokens: async ({ model, text = "", messages = [] }, options) => {
      const turns = messages.map(({ role, content }) => ({ role, content }));
      const { message } = await callUnary(sending, estimateTokens, { model, text, messages: turns }, options);
      const { tokens, bytesPerToken, isLearned = false } = message;
      return { tokens, bytesPerToken, isLearned };
    },
    watch: (options) => watch(sending, options),
    drainNode: async (node, reason = "", options = {}) =>
      fleetNode(told((await callUnary(sending, drainNode, { node, reason }, options)).message.node)),
    resumeNode: async (node, options) =>
      fleetNode(told((await callUnary(sending, resumeNode, { node }, options)).message.node)),
  };
}

async function* watch(sending: Sending, options: FleetCallOptions | undefined): AsyncIterable<FleetChange> {
  for await (const message of callStream(sending, watchFleet, {}, options)) {
    const change = fleetChange(message);
    if (change !== undefined) yield change;
  }
}

function fleetModel({ name, capabilities, contextLength, sizeBytes, copies }: Model): FleetModel {
  return {
    name,
    capabilities,
    contextLength,
    sizeBytes: Number(sizeBytes),
    copies: copies.map(({ nodeId, nodeName, digest, isLoaded, loadedContextLength }) => ({
      nodeId,
      nodeName,
      digest,
      isLoaded,
      loadedContextLength,
    })),
  };
}

function nodeSelection({ ranking, excluded, policy, instead }: SelectNodeResponse): NodeSelection {
  return {
    ranking: ranking.map(({ nodeId, nodeName, cost, expectedTimeToFirstToken, terms, detail }) => ({
      nodeId,
      nodeName,
      cost,
      expectedTimeToFirstTokenMs: optionalMs(expectedTimeToFirstToken),
      terms,
      detail,
    })),
    excluded: excluded.map(({ nodeId, nodeName, reason, endpoint }) => ({ nodeId, nodeName, reason, endpoint })),
    policy,
    instead,
  };
}

function told<Field>(field: Field | undefined): Field {
  if (field !== undefined) return field;
  throw clientError("PROTOCOL_ERROR", "The router's answer is empty; is it a Drover router?");
}
