/**
 * What generate, chat and embed requests have in common: the model, its options, how long it stays loaded.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type {
  FormatSchema,
  Options as OptionsMessage,
  OptionsSchema,
  ThinkSchema,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { invalidArgument } from "../errors/drover-error.ts";
import { type Schema, schemaText } from "./schema.ts";

type KnownOptions = Omit<OptionsMessage, "$typeName" | "$unknown" | "extraOptionsJson">;

/** Ollama's options in camelCase, such as `temperature` and `numCtx`. Absent: the model file's, then Ollama's. */
export type ModelOptions = { readonly [Key in keyof KnownOptions]?: KnownOptions[Key] | undefined } & {
  /** Further ones, in Ollama's own names. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined;
};

/** What all requests have in common. */
export interface ModelInput {
  /** Ollama's name of the model: "llama3.2:1b". */
  readonly model: string;
  /** Temperature, seed, context and the like. */
  readonly options?: ModelOptions | undefined;
  /** How long the model stays loaded afterwards in ms; a hint. Negative: for ever. Default: the node's. */
  readonly keepAliveMs?: number | undefined;
  /** Further fields of the request, in Ollama's own names. */
  readonly extra?: Readonly<Record<string, unknown>> | undefined;
}

/** Whether the model may think: on, off, or a level in Ollama's words ("low", "medium", "high", "max"). */
export type ThinkInput = boolean | (string & Record<never, never>);

export function modelFields({ model, options, keepAliveMs, extra }: ModelInput) {
  return {
    model,
    ...(options === undefined ? {} : { options: optionsMessage(options) }),
    ...(keepAliveMs === undefined ? {} : { keepAlive: durationFromMs(wholeMs("keepAliveMs", keepAliveMs)) }),
    ...(extra === undefined ? {} : { extraJson: JSON.stringify(extra) }),
  };
}

export function formatMessage(format: Schema | undefined): MessageInitShape<typeof FormatSchema> | undefined {
  if (format === undefined) return undefined;
  if (format === "json") return { kind: { case: "json", value: true } };
  return { kind: { case: "jsonSchema", value: schemaText(format, "The schema in `format`") } };
}

export function thinkMessage(think: ThinkInput | undefined): MessageInitShape<typeof ThinkSchema> | undefined {
  if (think === undefined) return undefined;
  return typeof think === "boolean"
    ? { kind: { case: "enabled", value: think } }
    : { kind: { case: "level", value: think } };
}

/** Fields of an object that are not undefined: protobuf-es takes undefined for a value. */
export function defined<Fields extends object>(
  fields: Fields,
): { [Key in keyof Fields]: Exclude<Fields[Key], undefined> } {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [Key in keyof Fields]: Exclude<Fields[Key], undefined> };
}

function optionsMessage({ extra, ...known }: ModelOptions): MessageInitShape<typeof OptionsSchema> {
  return defined({ ...known, extraOptionsJson: extra === undefined ? undefined : JSON.stringify(extra) });
}

function wholeMs(name: string, ms: number): number {
  if (Number.isFinite(ms)) return Math.round(ms);
  throw invalidArgument(`${name} must be a number of ms, not ${ms}.`);
}
