/**
 * The inventory part of a status: what lies on the node's disk, as routers read it. Built from plain facts; it does not know
 * how they are read.
 */
import { create } from "@bufbuild/protobuf";
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
}

/** As ModelInventory.models promises; Ollama with more is read up to here. */
export const MAX_MODELS = 4_096;

/** `models` undefined: Ollama was not read yet. */
export function buildModelInventory(models: readonly InstalledModel[] | undefined): ModelInventory {
  return create(ModelInventorySchema, { models: (models ?? []).map(buildModel), isComplete: models !== undefined });
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
