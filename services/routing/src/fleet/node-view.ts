/**
 * What a picker may know of a node: immutable, ready to be read without decoding anything. Built from what the agent said
 * on Attach; a new view replaces the old one whenever something changed.
 */

import { modelKey } from "@drover/platform";
import type { ModelInventory, NodeCondition, NodeIdentity, NodeLoad } from "@drover/proto/drover/fleet/v1/fleet_pb";
import type { RunnerView } from "./runner-view.ts";

/** A model on a node's disk. */
export interface ModelView {
  /** As on disk, with its tag. */
  readonly name: string;
  readonly digest: string;
  readonly sizeBytes: number;
  /** In Ollama's words. Empty: not known, so nothing may be concluded from it. */
  readonly capabilities: ReadonlySet<string>;
  /** The context that it was trained for, in tokens; 0 when not known. */
  readonly contextLength: number;
}

/** Why a node takes no new work, or that it does. */
export type Availability =
  | "available"
  | "connecting"
  | "unreachable"
  | "ollama-unreachable"
  | "draining"
  | "conflicting";

export interface NodeView {
  readonly id: string;
  readonly name: string;
  /** Of its agent's process: another one after each restart. */
  readonly incarnation: string;
  readonly endpoint: string;
  /** Another node has the same name: only the id addresses it. */
  readonly isNameShared: boolean;
  readonly availability: Availability;
  /** In plain words; of an available node empty, or why it is suspect. */
  readonly detail: string;
  /** Discovery lost sight of it: it takes a call when no other node can. */
  readonly isSuspect: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** 1..65535. */
  readonly baseWeight: number;
  /** Proves to the agent that a call comes from this router. Never shown. */
  readonly routerSecret: string;
  /** The highest send number of this router that `active` and `queued` take into account. */
  readonly ackedSend: number;
  /** By model key. */
  readonly models: ReadonlyMap<string, ModelView>;
  /** Whether `models` is the node's whole list. */
  readonly isInventoryComplete: boolean;
  /** What is in memory, or on its way there, by model key. */
  readonly runners: ReadonlyMap<string, readonly RunnerView[]>;
  /** Keys of the models that are in memory. */
  readonly loadedModels: ReadonlySet<string>;
  /** Slots of one runner. */
  readonly slots: number;
  /** Calls that run or cool, from every router. */
  readonly active: number;
  /** Calls in the agent's queue, from every router. */
  readonly queued: number;
  readonly queueLimit: number;
}

/** The parts that an agent tells, as it told them last. Absent: not told yet. */
export interface NodeParts {
  readonly identity: NodeIdentity;
  readonly condition: NodeCondition | undefined;
  readonly inventory: ModelInventory | undefined;
  readonly load: NodeLoad | undefined;
}

/** Decoded once for each inventory, since it is large and changes rarely. */
export function viewModels(inventory: ModelInventory | undefined): ReadonlyMap<string, ModelView> {
  const models = new Map<string, ModelView>();
  for (const model of inventory?.models ?? []) {
    const key = modelKey(model.name);
    // A name that breaks Ollama's own rules cannot be asked for; a cloud model would leave the building.
    if (key === undefined || model.remoteHost !== "") continue;
    models.set(key, {
      name: model.name,
      digest: model.digest,
      sizeBytes: Number(model.sizeBytes),
      capabilities: new Set(model.capabilities),
      contextLength: model.contextLength,
    });
  }
  return models;
}
