/**
 * NetworkAgentProvider, whatever it stands on: models on remote machines as if they were here. It puts its parts together and keeps
 * what they share; the entries of the package say how the fleet is reached.
 */
import type { ChatChunk, ChatInput, ChatMessage, ChatResult, ParsedOf } from "../client/chat.ts";
import type { EmbedInput, EmbedResult } from "../client/embed.ts";
import type { GenerateChunk, GenerateInput, GenerateResult } from "../client/generate.ts";
import type { Schema } from "../client/schema.ts";
import type { TokenStream } from "../client/token-stream.ts";
import type { Tool } from "../client/tools.ts";
import { type Clock, runtimeClock } from "../connect/clock.ts";
import { clientError, invalidArgument } from "../errors/drover-error.ts";
import { AgentLatencies } from "./agent-latency.ts";
import { type AgentPreferences, checkPreferences } from "./agent-preferences.ts";
import { untilHeard } from "./await-fleet.ts";
import { agentsWith, listAgents, type NetworkAgent, type NetworkStatus, networkStatus } from "./network-status.ts";
import { ProviderCalls } from "./provider-calls.ts";
import {
  type ChatOptions,
  type EmbedOptions,
  type ForwardOptions,
  type GenerateOptions,
  type Streamed,
  splitOptions,
  type Whole,
} from "./provider-options.ts";
import type { ProviderPort, ProviderSource } from "./provider-port.ts";
import { type AgentSelection, selectAgent } from "./select-agent.ts";

export interface InitializeOptions {
  /** Longest wait in ms, above 0. Default 10 s. */
  readonly timeoutMs?: number | undefined;
}

/** An agent as `forwardRequest` takes it: its id or name, or what the provider handed out. */
export type AgentReference = string | Pick<NetworkAgent, "id">;

interface Opened {
  readonly port: ProviderPort;
  readonly calls: ProviderCalls;
}

type State =
  | { readonly kind: "unopened" }
  | ({ readonly kind: "open" } & Opened)
  | { readonly kind: "disposed"; readonly closed: Promise<void> };

const INITIALIZE_TIMEOUT_MS = 10_000;

/**
 * What both NetworkAgentProviders are, over a router and without one. Every failure is a DroverError. A question about the fleet that
 * is not answered within 10 s fails with DEADLINE_EXCEEDED.
 */
export class AgentProvider {
  readonly #source: ProviderSource;
  readonly #clock: Clock;
  readonly #latencies: AgentLatencies;
  readonly #ended = new AbortController();
  #state: State = { kind: "unopened" };
  #initialized: Promise<void> | undefined;

  /** @internal */
  constructor(source: ProviderSource, clock: Clock = runtimeClock) {
    this.#source = source;
    this.#clock = clock;
    this.#latencies = new AgentLatencies(clock);
  }

  /**
   * Resolves when the fleet has been heard of: every agent that discovery names has answered or could not be reached, and at least
   * one has answered. Rejects when none has within `timeoutMs`, and names what was tried; it may be called again then. Once it has
   * resolved it always does. Calls need not wait for it.
   */
  async initialize({ timeoutMs = INITIALIZE_TIMEOUT_MS }: InitializeOptions = {}): Promise<void> {
    const { client } = this.#opened().port;
    if (!(timeoutMs > 0)) throw invalidArgument(`timeoutMs must be above 0, not ${timeoutMs}.`);
    const wait = { client, target: this.#source.target, clock: this.#clock, timeoutMs, ended: this.#ended.signal };
    this.#initialized ??= untilHeard(wait).catch((error: unknown) => {
      this.#initialized = undefined;
      throw error;
    });
    return this.#initialized;
  }

  /** Continues a prompt. Falls over to another agent as long as no piece of the answer has come. */
  generate<const Format extends Schema | undefined = undefined>(
    prompt: string,
    options: GenerateOptions<Format> & Streamed,
  ): TokenStream<GenerateChunk, GenerateResult<ParsedOf<Format>>>;
  generate<const Format extends Schema | undefined = undefined>(
    prompt: string,
    options: GenerateOptions<Format> & Whole,
  ): Promise<GenerateResult<ParsedOf<Format>>>;
  generate(prompt: string, options: GenerateOptions & (Streamed | Whole)) {
    return handOut(options, () => this.#generate(prompt, options));
  }

  /** Answers a conversation. Falls over as `generate`. */
  chat<const Tools extends readonly Tool[] = readonly [], const Format extends Schema | undefined = undefined>(
    messages: readonly ChatMessage[],
    options: ChatOptions<Tools, Format> & Streamed,
  ): TokenStream<ChatChunk<Tools>, ChatResult<Tools, ParsedOf<Format, Tools>>>;
  chat<const Tools extends readonly Tool[] = readonly [], const Format extends Schema | undefined = undefined>(
    messages: readonly ChatMessage[],
    options: ChatOptions<Tools, Format> & Whole,
  ): Promise<ChatResult<Tools, ParsedOf<Format, Tools>>>;
  chat(messages: readonly ChatMessage[], options: ChatOptions & (Streamed | Whole)) {
    return handOut(options, () => this.#chat(messages, options));
  }

  /** Turns texts into vectors, one for each, in their order. Falls over as `generate`. */
  async embed(input: string | readonly string[], options: EmbedOptions = {}): Promise<EmbedResult> {
    const { calls } = this.#opened();
    const { input: fields, call, preferences } = splitOptions(options);
    const model = fields.model ?? (await calls.embeddingModel(call));
    return calls.embed({ model, call, preferences }, { ...fields, model, input });
  }

  /**
   * Where a call would go now, and why: the ranking with its figures, everybody else with the reason. Sends nothing to any agent.
   * Rejects with MODEL_NOT_FOUND, NODE_NOT_FOUND, or with NO_NODE_AVAILABLE and the reasons where no agent could take the call.
   */
  async selectAgent(model: string, preferences: AgentPreferences = {}): Promise<AgentSelection> {
    checkPreferences(preferences);
    return selectAgent(this.#opened().port.client, this.#latencies, { model, preferences });
  }

  /** Sends a request to this agent and to no other, whatever happens. What it is, its fields say: `prompt`, `messages` or `input`. */
  forwardRequest<const Format extends Schema | undefined = undefined>(
    agent: AgentReference,
    request: GenerateInput<Format> & ForwardOptions & Streamed,
  ): TokenStream<GenerateChunk, GenerateResult<ParsedOf<Format>>>;
  forwardRequest<const Format extends Schema | undefined = undefined>(
    agent: AgentReference,
    request: GenerateInput<Format> & ForwardOptions & Whole,
  ): Promise<GenerateResult<ParsedOf<Format>>>;
  forwardRequest<
    const Tools extends readonly Tool[] = readonly [],
    const Format extends Schema | undefined = undefined,
  >(
    agent: AgentReference,
    request: ChatInput<Tools, Format> & ForwardOptions & Streamed,
  ): TokenStream<ChatChunk<Tools>, ChatResult<Tools, ParsedOf<Format, Tools>>>;
  forwardRequest<
    const Tools extends readonly Tool[] = readonly [],
    const Format extends Schema | undefined = undefined,
  >(
    agent: AgentReference,
    request: ChatInput<Tools, Format> & ForwardOptions & Whole,
  ): Promise<ChatResult<Tools, ParsedOf<Format, Tools>>>;
  forwardRequest(agent: AgentReference, request: EmbedInput & ForwardOptions): Promise<EmbedResult>;
  forwardRequest(agent: AgentReference, request: AgentRequest) {
    const preferences = { agentId: typeof agent === "string" ? agent : agent.id };
    if ("input" in request) return this.#forwardEmbed(request, preferences);
    return handOut<unknown, unknown>(request, () => {
      refuseOwnPreferences(request);
      if ("messages" in request) return this.#chat(request.messages, { ...request, preferences });
      return this.#generate(request.prompt, { ...request, preferences });
    });
  }

  /** Agents that take new work now, by name. */
  async getAvailableAgents(): Promise<readonly NetworkAgent[]> {
    const agents = await listAgents(this.#opened().port.client, this.#latencies);
    return agents.filter(({ availability }) => availability === "available");
  }

  /** Agents that answer and have the model, by name; whether they take new work, `availability` says. Empty: none has it. */
  async getAgentsByModel(model: string): Promise<readonly NetworkAgent[]> {
    return agentsWith(this.#opened().port.client, this.#latencies, model);
  }

  /** The whole fleet now: agents with health, latency and load, models, connections, sums. */
  async getNetworkStatus(): Promise<NetworkStatus> {
    return networkStatus(this.#opened().port, this.#latencies);
  }

  /**
   * Ends running calls (they fail with CLIENT_CLOSED), connections and timers. Later calls fail with CLIENT_CLOSED; disposing twice
   * is harmless.
   */
  async dispose(): Promise<void> {
    const state = this.#state;
    if (state.kind === "disposed") return state.closed;
    this.#ended.abort();
    const closed = state.kind === "open" ? state.port.client.close() : Promise.resolve();
    this.#state = { kind: "disposed", closed };
    return closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #generate(prompt: string, options: GenerateOptions) {
    const { port, calls } = this.#opened();
    const { input, call, preferences } = splitOptions(options);
    const request = { ...input, prompt };
    return calls.stream({ model: input.model, call, preferences }, (sent) => port.client.generate(request, sent));
  }

  #chat(messages: readonly ChatMessage[], options: ChatOptions) {
    const { port, calls } = this.#opened();
    const { input, call, preferences } = splitOptions(options);
    const request = { ...input, messages };
    return calls.stream({ model: input.model, call, preferences }, (sent) => port.client.chat(request, sent));
  }

  async #forwardEmbed(request: EmbedInput & ForwardOptions, preferences: AgentPreferences): Promise<EmbedResult> {
    const { calls } = this.#opened();
    refuseOwnPreferences(request);
    const { input, call } = splitOptions(request);
    return calls.embed({ model: request.model, call, preferences }, input);
  }

  #opened(): Opened {
    const state = this.#state;
    if (state.kind === "disposed") throw clientError("CLIENT_CLOSED", "This provider was disposed.");
    if (state.kind === "open") return state;
    const port = this.#source.open();
    const calls = new ProviderCalls(port.client, this.#latencies, this.#clock);
    this.#state = { kind: "open", port, calls };
    return { port, calls };
  }
}

type AgentRequest =
  | (GenerateInput & ForwardOptions & (Streamed | Whole))
  | (ChatInput & ForwardOptions & (Streamed | Whole))
  | (EmbedInput & ForwardOptions);

/** The stream itself, or a promise of its result that rejects with whatever went wrong before too. */
function handOut<Chunk, Result>(
  { stream }: Streamed | Whole,
  open: () => TokenStream<Chunk, Result>,
): TokenStream<Chunk, Result> | Promise<Result> {
  return stream === true ? open() : Promise.resolve().then(() => open().result());
}

function refuseOwnPreferences(request: object): void {
  if (!("preferences" in request)) return;
  throw invalidArgument("forwardRequest sends to its agent and to no other: it takes no `preferences`.");
}
