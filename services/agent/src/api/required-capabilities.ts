/**
 * What a request asks of a model beyond text. Checked before Ollama is asked, because Ollama accepts images for a text model
 * and ignores them, and a router can only look for another node when the refusal says what was missing.
 */
import { DroverError } from "@drover/platform";
import type { ChatRequest, GenerateRequest, Think } from "@drover/proto/drover/inference/v1/inference_pb";
import type { InstalledModel } from "../status/model-inventory.ts";

/** In Ollama's words. */
export type Capability = "tools" | "vision" | "thinking" | "insert" | "embedding";

export function capabilitiesForGenerate(request: GenerateRequest): Capability[] {
  const needed = capabilitiesForThink(request.think);
  if (request.images.length > 0) needed.push("vision");
  if (request.suffix !== "") needed.push("insert");
  return needed;
}

export function capabilitiesForChat(request: ChatRequest): Capability[] {
  const needed = capabilitiesForThink(request.think);
  if (request.tools.length > 0) needed.push("tools");
  if (request.messages.some((message) => message.images.length > 0)) needed.push("vision");
  return needed;
}

/** `enabled: false` is fine with any model. */
function capabilitiesForThink(think: Think | undefined): Capability[] {
  return think?.kind.case === "level" || think?.kind.value === true ? ["thinking"] : [];
}

/** Throws a DroverError for the first capability that the model lacks. A model whose capabilities are unknown passes. */
export function checkCapabilities(model: InstalledModel, needed: readonly Capability[], node: string): void {
  if (model.capabilities === undefined) return;
  for (const capability of needed) {
    if (has(model.capabilities, capability)) continue;
    const message = `The model "${model.name}" on node "${node}" lacks the capability "${capability}". Name a model that has it, or leave out what asks for it.`;
    throw new DroverError("capability_missing", message, { facts: { model: model.name, node, capability } });
  }
}

/** Audio travels in the field `images`, so a model that hears may have them too. */
function has(capabilities: readonly string[], needed: Capability): boolean {
  return capabilities.includes(needed) || (needed === "vision" && capabilities.includes("audio"));
}
