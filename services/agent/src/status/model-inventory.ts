/**
 * The inventory part of a status: what lies on the node's disk, as routers read it. Built from plain facts; it does not know
 * how they are read.
 */
import { create, toBinary } from "@bufbuild/protobuf";
import type { Logger } from "@drover/platform";
import {
  type Model,
  type ModelInventory,
  ModelInventorySchema,
  ModelSchema,
} from "@drover/proto/drover/fleet/v1/fleet_pb";

/** A model on disk (GET /api/tags and POST /api/show). */
export interface InstalledModel {
  /** With its tag, as on disk. */
  readonly name: string;
  readonly modelKey: string;
  readonly digest: string;
  readonly sizeBytes: number;
  /** Undefined until Ollama was asked. */
  readonly capabilities: readonly string[] | undefined;
  /** What the model was trained for; 0 when not known. */
  readonly contextLength: number;
  readonly family: string;
  readonly parameterSize: string;
  readonly quantizationLevel: string;
  /** The same for all models that are made of the same weights; the model's own key until Ollama was asked. */
  readonly weightsKey: string;
  /** Canonical JSON of the load-time options that the model brings along; empty when it has none, or until Ollama was asked. */
  readonly runnerOptionsJson: string;
}

/** As ModelInventory.models promises; Ollama with more is read up to here. */
export const MAX_MODELS = 4_096;

/** Encoded. A status goes in one message of Attach, of which 1 MiB is read; the rest is for its other parts. */
export const INVENTORY_BYTES = 768 * 1024;

/** Tag, and length of up to 2 MiB, of one model in the list. */
const FRAME_BYTES = 4;

/** The inventory as it is at each call. That models were left out is logged once. */
export function createModelInventory(
  log: Logger,
  list: () => readonly InstalledModel[] | undefined,
): () => ModelInventory {
  let isCutTold = false;
  return () => {
    const models = list();
    const inventory = buildModelInventory(models);
    const leftOut = (models?.length ?? 0) - inventory.models.length;
    if (leftOut > 0 && !isCutTold) {
      isCutTold = true;
      log.warn(
        { models: models?.length, leftOut },
        "this node has more models than routers can be told; the last ones are left out",
      );
    }
    return inventory;
  };
}

/** Up to INVENTORY_BYTES, in the order of `models`; undefined: Ollama was not read yet. */
export function buildModelInventory(models: readonly InstalledModel[] | undefined): ModelInventory {
  const built: Model[] = [];
  // The flag of completeness takes 2.
  let bytes = 2;
  for (const model of models ?? []) {
    const next = buildModel(model);
    bytes += FRAME_BYTES + toBinary(ModelSchema, next).length;
    if (bytes > INVENTORY_BYTES) break;
    built.push(next);
  }
  return create(ModelInventorySchema, { models: built, isComplete: models !== undefined });
}

export function buildModel(model: InstalledModel): Model {
  return create(ModelSchema, {
    name: model.name,
    digest: model.digest,
    sizeBytes: BigInt(model.sizeBytes),
    capabilities: [...(model.capabilities ?? [])],
    contextLength: model.contextLength,
    family: model.family,
    parameterSize: model.parameterSize,
    quantizationLevel: model.quantizationLevel,
  });
}
