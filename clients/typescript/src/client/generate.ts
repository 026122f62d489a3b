/**
 * Generate: what callers write and read, and the contract's messages that it becomes.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type GenerateChunk as GenerateChunkMessage,
  type GenerateDone as GenerateDoneMessage,
  GenerateRequestSchema,
  InferenceService,
} from "@drover/proto/drover/inference/v1/inference_pb";
import type { AnswerCall } from "./answer-call.ts";
import { type AnswerResult, answerResult } from "./answer-result.ts";
import { AnswerStream } from "./answer-stream.ts";
import type { CallOptions } from "./call-options.ts";
import type { ParsedOf } from "./chat.ts";
import { checked } from "./checked-message.ts";
import { ANSWER_CHARACTERS_MAX, CollectedAnswer } from "./collected-answer.ts";
import { type ImageInput, readImages } from "./images.ts";
import {
  defined,
  formatMessage,
  type ModelInput,
  modelFields,
  type ThinkInput,
  thinkMessage,
} from "./model-options.ts";
import type { Schema } from "./schema.ts";
import { beginCall, type Sending, sendStream } from "./sending.ts";
import type { AnswerChunk, TokenStream } from "./token-stream.ts";
import { readToolCall, type ToolCall } from "./tools.ts";

/** A generate request. What is left out stays Ollama's default. */
export interface GenerateInput<Format extends Schema | undefined = Schema | undefined> extends ModelInput {
  /** Empty loads the model. */
  readonly prompt: string;
  /** Text after the place to fill in; needs the capability "insert". */
  readonly suffix?: string | undefined;
  /** Instead of the model file's system prompt. */
  readonly system?: string | undefined;
  /** Instead of the model file's template. */
  readonly template?: string | undefined;
  /** Sends the prompt without any template. Default false. */
  readonly raw?: boolean | undefined;
  /** For models with the capability "vision". Read when the call is sent. */
  readonly images?: readonly ImageInput[] | undefined;
  /** The `context` of an earlier result (deprecated by Ollama). */
  readonly context?: readonly number[] | undefined;
  /** The shape of the answer: "json" for any JSON, or a schema. Default: free text. */
  readonly format?: Format | undefined;
  /** Default: Ollama's for the model. */
  readonly think?: ThinkInput | undefined;
  /** Whether a prompt over the context is cut. Default true. */
  readonly truncate?: boolean | undefined;
  /** Whether the context slides when it is full. Default true. */
  readonly shift?: boolean | undefined;
  /** Whether to answer with the log probability of each token. Default false. */
  readonly logprobs?: boolean | undefined;
  /** Alternatives per token, 0 to 20; needs `logprobs`. Default 0. */
  readonly topLogprobs?: number | undefined;
}

/** A piece of a prompt's continuation. */
export type GenerateChunk = AnswerChunk<ToolCall, GenerateChunkMessage | GenerateDoneMessage>;

/** A prompt's whole continuation. */
export interface GenerateResult<Parsed = unknown> extends AnswerResult<ToolCall, Parsed> {
  /** Token ids of the conversation, for the next call's `context`; empty when not told. */
  readonly context: readonly number[];
  /** The contract's last message, with all that a node said. */
  readonly raw: GenerateDoneMessage;
}

export function generate<Format extends Schema | undefined>(
  sending: Sending,
  input: GenerateInput<Format>,
  options: CallOptions,
): TokenStream<GenerateChunk, GenerateResult<ParsedOf<Format>>> {
  const call: AnswerCall<GenerateChunkMessage, GenerateDoneMessage, GenerateChunk, GenerateResult> = {
    begin: () => beginCall(sending, options),
    open: async (begun) =>
      sendStream(sending.transport, InferenceService.method.generate, await generateRequest(input, sending), begun),
    chunk: generateChunk,
    result: async (whole) => {
      const result = await answerResult(whole, input.format);
      return { ...result, context: whole.done.context, raw: whole.done };
    },
    onProgress: options.onProgress,
  };
  const stream: TokenStream<GenerateChunk, GenerateResult> = new AnswerStream(
    call,
    new CollectedAnswer(ANSWER_CHARACTERS_MAX),
  );
  // The schema that `format` brought has checked what the narrower type says.
  return stream as TokenStream<GenerateChunk, GenerateResult<ParsedOf<Format>>>;
}

async function generateRequest(
  input: GenerateInput,
  { readImageFile }: Sending,
): Promise<MessageInitShape<typeof GenerateRequestSchema>> {
  const { prompt, suffix, system, template, raw, images, context } = input;
  const { format, think, truncate, shift, logprobs, topLogprobs } = input;
  const request = defined({
    ...modelFields(input),
    prompt,
    suffix,
    system,
    template,
    raw,
    images: await readImages(images, readImageFile),
    context: context === undefined ? undefined : [...context],
    format: formatMessage(format),
    think: thinkMessage(think),
    truncate,
    shift,
    logprobs,
    topLogprobs,
  });
  return checked(GenerateRequestSchema, request);
}

const NONE: readonly never[] = [];

function generateChunk(raw: GenerateChunkMessage | GenerateDoneMessage): GenerateChunk {
  const { response: text, thinking, toolCalls, logprobs } = raw;
  return {
    text,
    thinking,
    toolCalls: toolCalls.length === 0 ? NONE : toolCalls.map((call) => readToolCall(call, NONE)),
    logprobs,
    raw,
  };
}
