/**
 * What the provider's calls take: the client's own inputs and options in one object, with preferences in place of the few options
 * that say where a call goes.
 */
import type { CallOptions } from "../client/call-options.ts";
import type { ChatInput } from "../client/chat.ts";
import type { EmbedInput } from "../client/embed.ts";
import type { GenerateInput } from "../client/generate.ts";
import type { Schema } from "../client/schema.ts";
import type { Tool } from "../client/tools.ts";
import { invalidArgument } from "../errors/drover-error.ts";
import { type AgentPreferences, checkPreferences, misplacedPreferences } from "./agent-preferences.ts";

/** What a call that goes to one given agent takes. */
export type ForwardOptions = Omit<CallOptions, "node" | "labels" | "session">;

export interface ProviderCallOptions extends ForwardOptions {
  /** Which agents may take the call. Default: any. */
  readonly preferences?: AgentPreferences | undefined;
}

export interface GenerateOptions<Format extends Schema | undefined = Schema | undefined>
  extends Omit<GenerateInput<Format>, "prompt">,
    ProviderCallOptions {}

export interface ChatOptions<
  Tools extends readonly Tool[] = readonly Tool[],
  Format extends Schema | undefined = Schema | undefined,
> extends Omit<ChatInput<Tools, Format>, "messages">,
    ProviderCallOptions {}

export interface EmbedOptions extends Omit<EmbedInput, "input" | "model">, ProviderCallOptions {
  /** Default: the fleet's model with the capability "embedding", where it has one only. */
  readonly model?: string | undefined;
}

/** `stream: true` hands out the answer piece by piece. */
export interface Streamed {
  readonly stream: true;
}

export interface Whole {
  readonly stream?: false | undefined;
}

export interface SplitOptions<Input> {
  readonly input: Input;
  readonly call: ForwardOptions;
  readonly preferences: AgentPreferences;
}

/** Throws a DroverError for preferences that are misspelt, or stand where nobody would see them. */
export function splitOptions<Input extends object>(
  options: Input & ProviderCallOptions & { readonly stream?: boolean | undefined },
): SplitOptions<Omit<Input, keyof ProviderCallOptions | "stream">> {
  const { signal, timeoutMs, maxWaitMs, class: queueClass, tenant, why, onProgress, headers, ...rest } = options;
  const { preferences = {}, stream: _stream, ...input } = rest;
  const misplaced = misplacedPreferences(input);
  if (misplaced.length > 0) {
    throw invalidArgument(`${misplaced.join(", ")} must stand in \`preferences\`, which forwardRequest does not take.`);
  }
  checkPreferences(preferences);
  const call = { signal, timeoutMs, maxWaitMs, class: queueClass, tenant, why, onProgress, headers };
  // The compiler does not see that an Omit of an Omit is one.
  return { input: input as Omit<Input, keyof ProviderCallOptions | "stream">, call, preferences };
}
