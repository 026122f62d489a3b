/**
 * A node as the fleet calls show it: the contract's message as a plain object, with words for numbers and ms for durations.
 */

import { type NodeLoad, type Runner, RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { type Node, NodeAvailability, type NodeTotals } from "@drover/proto/drover/router/v1/router_pb";
import { optionalMs } from "../progress.ts";

/** Whether a node takes new work, and else why not; see the contract's NodeAvailability. "unknown": a newer router's word. */
export type Availability =
  | "available"
  | "connecting"
  | "unreachable"
  | "ollama-unreachable"
  | "draining"
  | "ejected"
  | "conflicting"
  | "unknown";

const AVAILABILITY: Readonly<Record<number, Availability>> = {
  [NodeAvailability.AVAILABLE]: "available",
  [NodeAvailability.CONNECTING]: "connecting",
  [NodeAvailability.UNREACHABLE]: "unreachable",
  [NodeAvailability.OLLAMA_UNREACHABLE]: "ollama-unreachable",
  [NodeAvailability.DRAINING]: "draining",
  [NodeAvailability.EJECTED]: "ejected",
  [NodeAvailability.CONFLICTING]: "conflicting",
};

/** A node, as old as `statusAgeMs`. */
export interface FleetNode {
  /** UUID that outlives restarts. Empty before its agent has answered once, as is `name`. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** host:port at which its agent listens. */
  readonly endpoint: string;
  readonly availability: Availability;
  /** What is wrong and what to do, for every availability but "available". */
  readonly detail: string;
  /** Its --labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** Share of work relative to others, 1 to 65535. */
  readonly baseWeight: number;
  /** Drover's version there. */
  readonly version: string;
  /** Ollama's version there; empty: not known yet. */
  readonly ollamaVersion: string;
  /** The models on its disk. */
  readonly models: readonly NodeModel[];
  /** What runs there now. */
  readonly load: FleetNodeLoad;
  /** What this router sent there. */
  readonly totals: FleetNodeTotals;
  /** Attempts of this router that run there now. */
  readonly ownAttempts: number;
  /** 0 (ejected) to 1 (no failure lately). Undefined: not told. */
  readonly healthScore: number | undefined;
  /** Age of what is said here, in ms. */
  readonly statusAgeMs: number | undefined;
  /** Discovery sources that name it: "static", "file", "consul", … */
  readonly sources: readonly string[];
  /** Whether another node has the same name; then only the id works. */
  readonly isNameShared: boolean;
}

/** A model on a node's disk. */
export interface NodeModel {
  /** Ollama's name with its tag. */
  readonly name: string;
  /** SHA-256 of its manifest: equal digests are the same model. */
  readonly digest: string;
  readonly sizeBytes: number;
  /** In Ollama's words: "completion", "tools", "vision", … Empty: not known yet. */
  readonly capabilities: readonly string[];
  /** Tokens that it was trained for; 0: not known. */
  readonly contextLength: number;
  /** Such as "llama"; empty: not known. */
  readonly family: string;
  /** Such as "8.0B"; empty: not known. */
  readonly parameterSize: string;
  /** Such as "Q4_K_M"; empty: not known. */
  readonly quantizationLevel: string;
}

/** What runs on a node now. */
export interface FleetNodeLoad {
  /** Calls that have a slot, over all models. */
  readonly active: number;
  /** Calls that wait at the node. */
  readonly queued: number;
  /** Longest that its queue may get. */
  readonly queueLimit: number;
  /** Calls at once of a model that is not loaded yet. */
  readonly slotsPerRunner: number;
  /** Models in memory, or on their way. */
  readonly runners: readonly FleetRunner[];
}

/** A model in memory. */
export interface FleetRunner {
  /** Ollama's name with its tag. */
  readonly model: string;
  /** "closing": chosen to make room, it takes no new calls. */
  readonly state: "loading" | "loaded" | "closing" | "unknown";
  /** Calls that it can run at once. */
  readonly slots: number;
  /** Slots that are taken. */
  readonly active: number;
  /** Calls that wait for it at the node. */
  readonly queued: number;
  /** In tokens; 0: not known. */
  readonly contextLength: number;
  readonly sizeBytes: number;
  /** The part of `sizeBytes` in the GPU's memory. */
  readonly vramBytes: number;
}

/** What this router sent to a node since it started, or since the node joined. */
export interface FleetNodeTotals {
  /** Those that have ended. */
  readonly attempts: number;
  /** Those that ended with an error, whoever was to blame. */
  readonly failedAttempts: number;
  /** By Ollama's counts, as are `generatedTokens`. */
  readonly promptTokens: number;
  readonly generatedTokens: number;
}

export function fleetNode(node: Node): FleetNode {
  const { identity, endpoint, availability, detail, condition, inventory, load, totals } = node;
  return {
    id: identity?.id ?? "",
    name: identity?.name ?? "",
    endpoint,
    availability: AVAILABILITY[availability] ?? "unknown",
    detail,
    labels: identity?.labels ?? {},
    baseWeight: identity?.baseWeight ?? 0,
    version: identity?.version ?? "",
    ollamaVersion: condition?.ollamaVersion ?? "",
    models: (inventory?.models ?? []).map((model) => ({
      name: model.name,
      digest: model.digest,
      sizeBytes: Number(model.sizeBytes),
      capabilities: model.capabilities,
      contextLength: model.contextLength,
      family: model.family,
      parameterSize: model.parameterSize,
      quantizationLevel: model.quantizationLevel,
    })),
    load: nodeLoad(load),
    totals: nodeTotals(totals),
    ownAttempts: node.ownAttempts,
    healthScore: node.healthScore,
    statusAgeMs: optionalMs(node.statusAge),
    sources: node.sources,
    isNameShared: node.isNameShared,
  };
}

export function nodeLoad(load: NodeLoad | undefined): FleetNodeLoad {
  return {
    active: load?.active ?? 0,
    queued: load?.queued ?? 0,
    queueLimit: load?.queueLimit ?? 0,
    slotsPerRunner: load?.slotsPerRunner ?? 0,
    runners: (load?.runners ?? []).map(runner),
  };
}

export function nodeTotals(totals: NodeTotals | undefined): FleetNodeTotals {
  return {
    attempts: Number(totals?.attempts ?? 0),
    failedAttempts: Number(totals?.failedAttempts ?? 0),
    promptTokens: Number(totals?.promptTokens ?? 0),
    generatedTokens: Number(totals?.generatedTokens ?? 0),
  };
}

function runner(message: Runner): FleetRunner {
  const { model, state, slots, active, queued, contextLength, sizeBytes, vramBytes } = message;
  return {
    model,
    state: stateOf(state),
    slots,
    active,
    queued,
    contextLength,
    sizeBytes: Number(sizeBytes),
    vramBytes: Number(vramBytes),
  };
}

function stateOf(state: RunnerState): FleetRunner["state"] {
  switch (state) {
    case RunnerState.LOADING:
      return "loading";
    case RunnerState.LOADED:
      return "loaded";
    case RunnerState.CLOSING:
      return "closing";
    default:
      return "unknown";
  }
}
