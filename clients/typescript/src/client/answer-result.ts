/**
 * What the results of generate and chat have in common: the collected answer, Ollama's counts, and what the router's trailers
 * tell of the call.
 */
import type { Completion } from "@drover/proto/drover/inference/v1/inference_pb";
import { DroverError } from "../errors/drover-error.ts";
import { META, readNumber, readText } from "../metadata.ts";
import type { WholeAnswer } from "./answer-call.ts";
import { optionalMs } from "./progress.ts";
import { parseOutput, type Schema } from "./schema.ts";
import type { Logprob } from "./token-stream.ts";
import type { ToolCall } from "./tools.ts";

/** How a call went, from its trailers. */
export interface CallFacts {
  /** The call's id, as in every log line of router and agents. Undefined: not told. */
  readonly callId: string | undefined;
  /** Name of the node that answered. */
  readonly node: string | undefined;
  /** How many nodes were tried. Undefined: not told, as by an agent without a router. */
  readonly attempts: number | undefined;
  /** Time in queues, at the router and at the node, in ms. Undefined: not told. */
  readonly queueMs: number | undefined;
  /** Time that the call waited for the model to load, in ms. Undefined: not told. */
  readonly loadMs: number | undefined;
  /** From the call's arrival at the router to its first token, in ms. Undefined: not told. */
  readonly ttftMs: number | undefined;
  /** How the node was chosen, in words. Undefined unless asked for by `why`. */
  readonly why: string | undefined;
}

/** Ollama's own times of an answer, in ms; undefined where it took none. */
export interface Durations {
  /** From the request's arrival at Ollama. */
  readonly totalMs: number | undefined;
  /** Until a runner was granted. */
  readonly loadMs: number | undefined;
  /** Reading the prompt. */
  readonly promptMs: number | undefined;
  /** Writing the answer. */
  readonly generationMs: number | undefined;
}

/** What generate and chat answer with. */
export interface AnswerResult<Call, Parsed> extends CallFacts {
  /** The whole text. */
  readonly text: string;
  /** Empty: the model did not think, or did not tell. */
  readonly thinking: string;
  /** Tools that the model wants called, in its order; empty: none. */
  readonly toolCalls: readonly Call[];
  /** One for each token; empty unless asked for. */
  readonly logprobs: readonly Logprob[];
  /** The text as the value that `format` asked for; undefined without `format`, and where the model called tools instead. */
  readonly parsed: Parsed;
  /** "stop", "length" (cut at its limit), "load", or what a newer Ollama says. */
  readonly doneReason: string;
  /** By Ollama's count; 0 where it told none. */
  readonly promptTokens: number;
  /** By Ollama's count, thinking included. */
  readonly generatedTokens: number;
  /** Where the time went at the node. */
  readonly durations: Durations;
  /** The context that the model had, in tokens; 0 when not known. */
  readonly contextLength: number;
}

interface Finished {
  readonly completion?: Completion | undefined;
}

/** Throws OUTPUT_INVALID when `format` was asked for and is not met. */
export async function answerResult(
  whole: WholeAnswer<Finished>,
  format: Schema | undefined,
): Promise<AnswerResult<ToolCall, unknown>> {
  const { answer, done, header, trailer } = whole;
  const completion = done.completion;
  const facts = callFacts(header, trailer);
  const doneReason = completion?.doneReason ?? "";
  const result = {
    ...facts,
    node: facts.node ?? completion?.node,
    text: answer.text,
    thinking: answer.thinking,
    toolCalls: answer.toolCalls,
    logprobs: answer.logprobs,
    doneReason,
    promptTokens: completion?.promptEvalCount ?? 0,
    generatedTokens: completion?.evalCount ?? 0,
    durations: durationsOf(completion),
    contextLength: completion?.contextLength ?? 0,
  };
  return { ...result, parsed: await parsedText(result, format) };
}

/** From trailers, and where a protocol puts them there, from headers. */
export function callFacts(header: Headers, trailer: Headers): CallFacts {
  return {
    callId: readText(trailer, META.call) ?? readText(header, META.call),
    node: readText(trailer, META.node),
    attempts: readNumber(trailer, META.attempts),
    queueMs: readNumber(trailer, META.queueMs),
    loadMs: readNumber(trailer, META.loadMs),
    ttftMs: readNumber(trailer, META.ttftMs),
    why: readText(trailer, META.why),
  };
}

function durationsOf(completion: Completion | undefined): Durations {
  return {
    totalMs: optionalMs(completion?.totalDuration),
    loadMs: optionalMs(completion?.loadDuration),
    promptMs: optionalMs(completion?.promptEvalDuration),
    generationMs: optionalMs(completion?.evalDuration),
  };
}

type ParsedFrom = Pick<AnswerResult<unknown, unknown>, "text" | "toolCalls" | "doneReason" | "generatedTokens"> &
  CallFacts;

async function parsedText(result: ParsedFrom, format: Schema | undefined): Promise<unknown> {
  if (format === undefined || (result.text === "" && result.toolCalls.length > 0)) return undefined;
  try {
    return await parseOutput(result.text, format === "json" ? undefined : format, "The answer");
  } catch (error) {
    if (!(error instanceof DroverError)) throw error;
    const { callId, node, attempts, generatedTokens: tokensReceived } = result;
    const cut = result.doneReason === "length" ? " It was cut at its limit of tokens: raise numPredict or numCtx." : "";
    const { reason, status, partialText, cause } = error;
    const init = { reason, status, partialText, cause, callId, node, attempts, tokensReceived };
    throw new DroverError(error.message + cut, init);
  }
}
