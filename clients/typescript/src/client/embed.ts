/**
 * Embed: texts in, vectors out, in one answer.
 */
import { EmbedRequestSchema, InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { type CallFacts, callFacts } from "./answer-result.ts";
import type { CallOptions } from "./call-options.ts";
import { checked } from "./checked-message.ts";
import { defined, type ModelInput, modelFields } from "./model-options.ts";
import { optionalMs } from "./progress.ts";
import { callUnary, type Sending } from "./sending.ts";

/** An embed request. What is left out stays Ollama's default. */
export interface EmbedInput extends ModelInput {
  /** One text or several; a vector each. An empty list loads the model. */
  readonly input: string | readonly string[];
  /** Whether a text over the context is cut. Default true. */
  readonly truncate?: boolean | undefined;
  /** Length of the vectors, for models that can. Default: the model's own. */
  readonly dimensions?: number | undefined;
}

/** The vectors, and how the call went. */
export interface EmbedResult extends CallFacts {
  /** In the order of `input`, of length 1 each. */
  readonly embeddings: readonly (readonly number[])[];
  /** Over all texts, by Ollama's count. */
  readonly promptTokens: number;
  /** Ollama's own times, in ms. */
  readonly durations: { readonly totalMs: number | undefined; readonly loadMs: number | undefined };
}

export async function embed(sending: Sending, request: EmbedInput, options: CallOptions): Promise<EmbedResult> {
  const { input, truncate, dimensions } = request;
  const texts = typeof input === "string" ? [input] : [...input];
  const message = checked(EmbedRequestSchema, defined({ ...modelFields(request), input: texts, truncate, dimensions }));
  const {
    message: answer,
    header,
    trailer,
  } = await callUnary(sending, InferenceService.method.embed, message, options);
  const facts = callFacts(header, trailer);
  return {
    ...facts,
    node: facts.node ?? (answer.node === "" ? undefined : answer.node),
    embeddings: answer.embeddings.map(({ values }) => values),
    promptTokens: answer.promptEvalCount,
    durations: { totalMs: optionalMs(answer.totalDuration), loadMs: optionalMs(answer.loadDuration) },
  };
}
