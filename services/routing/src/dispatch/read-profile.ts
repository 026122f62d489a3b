/**
 * What a pick needs to know, read from a decoded request and its metadata: the model and what it must be able to do. Refuses
 * what no node could serve. Nothing of the prompt is kept.
 */
import {
  DroverError,
  META,
  type MetadataSource,
  modelKey,
  parseModelName,
  readLabels,
  readText,
} from "@drover/platform";
import type { ChatRequest, EmbedRequest, GenerateRequest, Think } from "@drover/proto/drover/inference/v1/inference_pb";
import type { CallProfile } from "../balancing/call-profile.ts";

export type InferenceRequest = GenerateRequest | ChatRequest | EmbedRequest;

export function readProfile(request: InferenceRequest, metadata: MetadataSource): CallProfile {
  return profileOf(request.model, {
    capabilities: neededCapabilities(request),
    labels: readLabels(metadata, META.labels) ?? new Map(),
    node: readText(metadata, META.node),
    session: readText(metadata, META.session),
    namesContext: request.options?.numCtx !== undefined,
  });
}

/** A profile that asks for nothing but the model, and what `wanted` says. Throws a DroverError for what cannot be a model here. */
export function profileOf(model: string, wanted: Partial<CallProfile> = {}): CallProfile {
  return {
    model,
    modelKey: readModelKey(model),
    capabilities: [],
    labels: new Map(),
    node: undefined,
    session: undefined,
    namesContext: false,
    contextAbove: 0,
    mustTellCapabilities: false,
    ...wanted,
  };
}

function readModelKey(model: string): string {
  if (model.trim() === "") {
    throw new DroverError("malformed_request", 'The request names no model: set `model`, such as "llama3.2:1b".');
  }
  const name = parseModelName(model);
  const key = modelKey(model);
  if (name === undefined || key === undefined) {
    throw new DroverError("malformed_request", `"${model.slice(0, 200)}" is not a name that a model can have.`, {
      facts: { model },
    });
  }
  if (name.source === "cloud") {
    throw new DroverError(
      "permission_denied",
      `Model "${model}" is a cloud model: the prompt would leave your machines, so Drover refuses it.`,
      {
        facts: { model },
      },
    );
  }
  return key;
}

/** In Ollama's words (its types/model/capability.go). */
function neededCapabilities(request: InferenceRequest): readonly string[] {
  switch (request.$typeName) {
    case "drover.inference.v1.EmbedRequest":
      return ["embedding"];
    case "drover.inference.v1.GenerateRequest":
      return [
        "completion",
        ...when(request.suffix !== "", "insert"),
        ...when(request.images.length > 0, "vision"),
        ...when(isThinkingAskedFor(request.think), "thinking"),
      ];
    case "drover.inference.v1.ChatRequest":
      return [
        "completion",
        ...when(request.tools.length > 0, "tools"),
        ...when(
          request.messages.some((message) => message.images.length > 0),
          "vision",
        ),
        ...when(isThinkingAskedFor(request.think), "thinking"),
      ];
  }
}

function when(isNeeded: boolean, capability: string): readonly string[] {
  return isNeeded ? [capability] : [];
}

/** Only asking for it needs the capability; switching it off is fine with any model. */
function isThinkingAskedFor(think: Think | undefined): boolean {
  switch (think?.kind.case) {
    case "enabled":
      return think.kind.value;
    case "level":
      return think.kind.value !== "";
    default:
      return false;
  }
}
