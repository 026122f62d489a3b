/**
 * Chat: what callers write and read, and the contract's messages that it becomes.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  type ChatChunk as ChatChunkMessage,
  type ChatDone as ChatDoneMessage,
  ChatRequestSchema,
  InferenceService,
  type MessageSchema,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { invalidArgument } from "../errors/drover-error.ts";
import type { AnswerCall } from "./answer-call.ts";
import { type AnswerResult, answerResult } from "./answer-result.ts";
import { AnswerStream } from "./answer-stream.ts";
import type { CallOptions } from "./call-options.ts";
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
import type { Schema, SchemaValue } from "./schema.ts";
import { beginCall, type Sending, sendStream } from "./sending.ts";
import type { AnswerChunk, TokenStream } from "./token-stream.ts";
import {
  readToolCall,
  type Tool,
  type ToolCall,
  type ToolCallInput,
  type ToolCallOf,
  toolCallMessage,
  toolMessage,
} from "./tools.ts";

/** One turn of a conversation. The `message` of a ChatResult is one. */
export interface ChatMessage {
  /** "system", "user", "assistant", "tool", or what a newer Ollama knows. */
  readonly role: "system" | "user" | "assistant" | "tool" | (string & Record<never, never>);
  /** The text; empty for a turn that only calls tools. */
  readonly content: string;
  /** What the model thought before it answered. */
  readonly thinking?: string | undefined;
  /** For models with the capability "vision". Read when the call is sent. */
  readonly images?: readonly ImageInput[] | undefined;
  /** For role "assistant": the tools that it called. */
  readonly toolCalls?: readonly ToolCallInput[] | undefined;
  /** For role "tool": the name of the tool that was called. */
  readonly toolName?: string | undefined;
  /** For role "tool": the `id` of the call that this answers. */
  readonly toolCallId?: string | undefined;
}

/** A chat request. What is left out stays Ollama's default. */
export interface ChatInput<
  Tools extends readonly Tool[] = readonly Tool[],
  Format extends Schema | undefined = Schema | undefined,
> extends ModelInput {
  /** Oldest first. Empty loads the model. */
  readonly messages: readonly ChatMessage[];
  /** Functions that the model may call. */
  readonly tools?: Tools | undefined;
  /** The shape of the answer: "json" for any JSON, or a schema. Default: free text. */
  readonly format?: Format | undefined;
  /** Default: Ollama's for the model. */
  readonly think?: ThinkInput | undefined;
  /** Whether old messages are dropped to fit the context. Default true. */
  readonly truncate?: boolean | undefined;
  /** Whether the context slides when it is full. Default true. */
  readonly shift?: boolean | undefined;
  /** Whether to answer with the log probability of each token. Default false. */
  readonly logprobs?: boolean | undefined;
  /** Alternatives per token, 0 to 20; needs `logprobs`. Default 0. */
  readonly topLogprobs?: number | undefined;
}

/** A piece of a chat's answer. */
export type ChatChunk<Tools extends readonly Tool[] = readonly Tool[]> = AnswerChunk<
  ToolCallOf<Tools>,
  ChatChunkMessage | ChatDoneMessage
>;

/** A chat's whole answer. */
export interface ChatResult<Tools extends readonly Tool[] = readonly Tool[], Parsed = unknown>
  extends AnswerResult<ToolCallOf<Tools>, Parsed> {
  /** The model's turn, to be appended to `messages`. */
  readonly message: ChatMessage;
  /** The contract's last message, with all that a node said. */
  readonly raw: ChatDoneMessage;
}

/** The type of `parsed`: undefined is possible where the model may call a tool instead. */
export type ParsedOf<Format, Tools extends readonly Tool[] = readonly []> = [Format] extends [undefined]
  ? undefined
  : Format extends Schema
    ? [Tools[number]] extends [never]
      ? SchemaValue<Format>
      : SchemaValue<Format> | undefined
    : undefined;

export function chat<Tools extends readonly Tool[], Format extends Schema | undefined>(
  sending: Sending,
  input: ChatInput<Tools, Format>,
  options: CallOptions,
): TokenStream<ChatChunk<Tools>, ChatResult<Tools, ParsedOf<Format, Tools>>> {
  const { tools = [], format } = input;
  const call: AnswerCall<ChatChunkMessage, ChatDoneMessage, ChatChunk, ChatResult> = {
    begin: () => beginCall(sending, options),
    open: async (begun) =>
      sendStream(sending.transport, InferenceService.method.chat, await chatRequest(input, sending), begun),
    chunk: (piece) => chatChunk(piece, tools),
    result: async (whole) => {
      const result = await answerResult(whole, format);
      return { ...result, message: messageOf(result), raw: whole.done };
    },
    onProgress: options.onProgress,
  };
  const stream: TokenStream<ChatChunk, ChatResult> = new AnswerStream(call, new CollectedAnswer(ANSWER_CHARACTERS_MAX));
  // The schemas that `tools` and `format` brought have checked what the narrower type says.
  return stream as TokenStream<ChatChunk<Tools>, ChatResult<Tools, ParsedOf<Format, Tools>>>;
}

async function chatRequest(
  input: ChatInput,
  { readImageFile }: Sending,
): Promise<MessageInitShape<typeof ChatRequestSchema>> {
  const { messages, tools, format, think, truncate, shift, logprobs, topLogprobs } = input;
  if (!Array.isArray(messages)) throw invalidArgument("messages must be a list.");
  const request = defined({
    ...modelFields(input),
    messages: await Promise.all(messages.map((message) => chatMessage(message, readImageFile))),
    tools: tools?.map(toolMessage),
    format: formatMessage(format),
    think: thinkMessage(think),
    truncate,
    shift,
    logprobs,
    topLogprobs,
  });
  return checked(ChatRequestSchema, request);
}

async function chatMessage(
  message: ChatMessage,
  readImageFile: Sending["readImageFile"],
): Promise<MessageInitShape<typeof MessageSchema>> {
  const { role, content, thinking, images, toolCalls, toolName, toolCallId } = message;
  return defined({
    role,
    content,
    thinking,
    images: await readImages(images, readImageFile),
    toolCalls: toolCalls?.map(toolCallMessage),
    toolName,
    toolCallId,
  });
}

const NONE: readonly never[] = [];

function chatChunk(raw: ChatChunkMessage | ChatDoneMessage, tools: readonly Tool[]): ChatChunk {
  const { message, logprobs } = raw;
  const calls = message?.toolCalls ?? NONE;
  return {
    text: message?.content ?? "",
    thinking: message?.thinking ?? "",
    toolCalls: calls.length === 0 ? NONE : calls.map((call) => readToolCall(call, tools)),
    logprobs,
    raw,
  };
}

function messageOf({ text, thinking, toolCalls }: AnswerResult<ToolCall, unknown>): ChatMessage {
  return {
    role: "assistant",
    content: text,
    ...(thinking === "" ? {} : { thinking }),
    ...(toolCalls.length === 0 ? {} : { toolCalls }),
  };
}
