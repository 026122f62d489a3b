/**
 * Functions that a model may call: from what the caller declares to the contract, and the model's calls back with parsed
 * arguments.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ToolCall as ToolCallMessage,
  ToolCallSchema,
  ToolSchema,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { parseOutputNow, type Schema, type SchemaValue, schemaText } from "./schema.ts";

/** A function that the model may call. */
export interface Tool {
  /** As the model is to call it. */
  readonly name: string;
  /** What it does and when to call it; models decide by it. */
  readonly description?: string | undefined;
  /** Schema of its arguments, an object. Default: none. */
  readonly parameters?: Schema | undefined;
  /** Default "function". */
  readonly type?: string | undefined;
  /** Ollama's `items` as JSON text. */
  readonly itemsJson?: string | undefined;
}

/** A call that the model asks for. */
export interface ToolCall<Name extends string = string, Arguments = unknown> {
  /** Undefined on older Ollama. */
  readonly id: string | undefined;
  /** Position among the calls of one answer. */
  readonly index: number;
  /** Of the tool. */
  readonly name: Name;
  /** Parsed, and checked where the tool's schema can check. */
  readonly arguments: Arguments;
  /** As the model wrote them. */
  readonly argumentsJson: string;
}

/** A call of one of these tools. A model may also name a tool that does not exist; look before you call. */
export type ToolCallOf<Tools extends readonly Tool[]> = [Tools[number]] extends [never]
  ? ToolCall
  : { [Index in keyof Tools]: ToolCall<Tools[Index]["name"], ArgumentsOf<Tools[Index]>> }[number];

type ArgumentsOf<T extends Tool> = T extends { readonly parameters: infer S } ? SchemaValue<S> : unknown;

/** A call in the history of a conversation: one that an answer gave, or `arguments` as an object. */
export interface ToolCallInput {
  readonly name: string;
  /** Sent as JSON, keys in their order. */
  readonly arguments?: unknown;
  /** Wins over `arguments`: sent as it is. */
  readonly argumentsJson?: string | undefined;
  readonly id?: string | undefined;
  readonly index?: number | undefined;
}

export function toolMessage(tool: Tool): MessageInitShape<typeof ToolSchema> {
  const { name, description = "", parameters, type = "", itemsJson = "" } = tool;
  const parametersJson = parameters === undefined ? "" : schemaText(parameters, `The schema of tool "${name}"`);
  return { type, itemsJson, function: { name, description, parametersJson } };
}

export function toolCallMessage(call: ToolCallInput): MessageInitShape<typeof ToolCallSchema> {
  const { id = "", index = 0, name, argumentsJson = JSON.stringify(call.arguments ?? {}) } = call;
  return { id, function: { index, name, argumentsJson } };
}

/** Throws OUTPUT_INVALID for arguments that are not what the tool's schema asks for. */
export function readToolCall(message: ToolCallMessage, tools: readonly Tool[]): ToolCall {
  const { index = 0, name = "", argumentsJson: written = "" } = message.function ?? {};
  // The contract: empty means {}.
  const argumentsJson = written === "" ? "{}" : written;
  const schema = tools.find((tool) => tool.name === name)?.parameters;
  const parsed = parseOutputNow(argumentsJson, schema, `The arguments of the call to "${name}"`);
  return { id: message.id === "" ? undefined : message.id, index, name, arguments: parsed, argumentsJson };
}
