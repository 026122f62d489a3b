/** The routes that only tell: `/`, version, tags, ps and show. */
import { fieldReader, parseBody } from "../http/request-body.ts";
import { psEntry, showAnswer, tagsEntry } from "../model-views.ts";
import { errorTexts, modelNotFound, OllamaError } from "../ollama-error.ts";
import type { Exchange, Simulation } from "../simulation.ts";
import { findModel } from "./inference.ts";

export function root({ reply }: Exchange): void {
  reply.text(200, "Ollama is running");
}

export function version({ reply }: Exchange, { settings }: Simulation): void {
  reply.json(200, { version: settings.version });
}

export function tags({ reply }: Exchange, { catalog }: Simulation): void {
  reply.json(200, { models: catalog.models.map(tagsEntry) });
}

export function ps({ reply }: Exchange, { scheduler }: Simulation): void {
  reply.json(200, { models: scheduler.loadedModels().map(psEntry) });
}

/** Older clients say `name`; this is the only route here that still reads it. */
export function show({ body, reply }: Exchange, simulation: Simulation): void {
  const fields = fieldReader(parseBody(body, "ShowRequest"), "ShowRequest");
  const requested = fields.text("model") || fields.text("name");
  if (requested === "") throw new OllamaError(400, errorTexts.modelRequired);
  // Ollama names the model here without a source suffix.
  const named = requested.replace(/:local$/i, "");
  const model = findModel(named, simulation, modelNotFound(named));
  reply.json(200, showAnswer(model, fields.flag("verbose") ?? false));
}
