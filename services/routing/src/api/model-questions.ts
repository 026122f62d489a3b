/**
 * What callers ask of one model before they call it: CheckFeatures and EstimateTokens.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type DroverError, invariant } from "@drover/platform";
import type { Message } from "@drover/proto/drover/inference/v1/inference_pb";
import type {
  EstimateTokensRequest,
  EstimateTokensResponseSchema,
  Model,
} from "@drover/proto/drover/router/v1/router_pb";
import type { CallProfile } from "../balancing/call-profile.ts";
import { profileOf } from "../dispatch/read-profile.ts";
import type { FleetSnapshot } from "../fleet/snapshot.ts";
import { toModelMessage } from "./model-messages.ts";
import { rankingFor, type SelectionParts } from "./select-node.ts";

/** What English text has in most tokenizers; agents guess by the same while they have learned nothing. */
const PRIOR_BYTES_PER_TOKEN = 4;

/** Throws what a call for the model would end with, where no node that can be reached has it. */
export function checkFeatures(parts: SelectionParts, name: string): Model {
  const profile = profileOf(name);
  const model = toModelMessage(profile.modelKey, parts.fleet.snapshot);
  if (model !== undefined) return model;
  throw missing(parts, profile);
}

export function estimateTokens(
  parts: SelectionParts,
  { model, text, messages }: EstimateTokensRequest,
): MessageInitShape<typeof EstimateTokensResponseSchema> {
  const profile = profileOf(model);
  const { fleet } = parts;
  if (!fleet.snapshot.nodes.some((node) => node.models.has(profile.modelKey))) {
    throw missing(parts, profile);
  }
  const learned = learnedBytesPerToken(profile.modelKey, fleet.snapshot);
  const bytesPerToken = learned ?? PRIOR_BYTES_PER_TOKEN;
  const bytes = [text, ...messages.flatMap(textsOf)].reduce((sum, each) => sum + Buffer.byteLength(each), 0);
  return { tokens: Math.ceil(bytes / bytesPerToken), bytesPerToken, isLearned: learned !== undefined };
}

/** What a call for a model that no node has would end with. */
function missing(parts: SelectionParts, profile: CallProfile): DroverError {
  const { instead } = rankingFor(parts, profile);
  invariant(instead !== undefined, "a node takes calls for a model that no node has");
  return instead.error;
}

/** The mean of what agents tell of the runners that they have; undefined where none has learned it. */
function learnedBytesPerToken(key: string, snapshot: FleetSnapshot): number | undefined {
  const told = snapshot.nodes
    .flatMap((node) => node.runners.get(key) ?? [])
    .map((runner) => runner.bytesPerToken)
    .filter((bytes) => bytes !== undefined && bytes > 0);
  if (told.length === 0) return undefined;
  return told.reduce((sum: number, bytes) => sum + (bytes ?? 0), 0) / told.length;
}

function textsOf({ role, content, thinking, toolCalls, toolName }: Message): string[] {
  const calls = toolCalls.flatMap((call) => [call.function?.name ?? "", call.function?.argumentsJson ?? ""]);
  return [role, content, thinking, toolName, ...calls];
}
