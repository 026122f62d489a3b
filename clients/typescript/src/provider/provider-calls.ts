/**
 * How a provider sends its calls: with what the preferences put into metadata, or to the agent that it chose for them; and what it
 * measures of each.
 */
import type { CallFacts } from "../client/answer-result.ts";
import type { CallOptions } from "../client/call-options.ts";
import type { DroverClient } from "../client/drover-client.ts";
import type { EmbedInput, EmbedResult } from "../client/embed.ts";
import type { TokenStream } from "../client/token-stream.ts";
import type { Clock } from "../connect/clock.ts";
import { invalidArgument } from "../errors/drover-error.ts";
import type { AgentLatencies } from "./agent-latency.ts";
import { type AgentPreferences, needsSelection, placementOf } from "./agent-preferences.ts";
import { AgentWatch } from "./agent-watch.ts";
import { fallOver } from "./fall-over.ts";
import { measuredStream } from "./measured-stream.ts";
import { ASK_TIMEOUT_MS } from "./network-status.ts";
import { PlacedStream } from "./placed-stream.ts";
import type { ForwardOptions } from "./provider-options.ts";
import { rankAgents } from "./select-agent.ts";
import { Turns } from "./turns.ts";

export interface ProviderCall {
  readonly model: string;
  readonly call: ForwardOptions;
  readonly preferences: AgentPreferences;
}

/** Sends it: to one agent, or where the options say. */
type Send<Answer> = (options: CallOptions) => Answer;

export class ProviderCalls {
  readonly #client: DroverClient;
  readonly #latencies: AgentLatencies;
  readonly #clock: Clock;
  readonly #turns: Turns;
  readonly #watch: AgentWatch;

  constructor(client: DroverClient, latencies: AgentLatencies, clock: Clock) {
    this.#client = client;
    this.#latencies = latencies;
    this.#clock = clock;
    this.#turns = new Turns(clock);
    this.#watch = new AgentWatch(client, clock);
  }

  stream<Chunk, Result extends CallFacts>(
    call: ProviderCall,
    send: Send<TokenStream<Chunk, Result>>,
  ): TokenStream<Chunk, Result> {
    const note = (facts: CallFacts): void => this.#latencies.note(facts);
    const measured = (options: CallOptions): TokenStream<Chunk, Result> => measuredStream(send(options), note);
    if (!needsSelection(call.preferences)) return measured({ ...call.call, ...placementOf(call.preferences) });
    const left = this.#timeLeft(call.call.timeoutMs);
    return new PlacedStream({
      choose: (signal) => this.#choose(call, signal, left),
      open: (node, signal) => measured({ ...pinned(call, node), signal, timeoutMs: left() }),
      watch: this.#watch,
      signal: call.call.signal,
    });
  }

  async embed(call: ProviderCall, input: EmbedInput): Promise<EmbedResult> {
    if (!needsSelection(call.preferences)) {
      return this.#client.embed(input, { ...call.call, ...placementOf(call.preferences) });
    }
    const left = this.#timeLeft(call.call.timeoutMs);
    const agentIds = await this.#choose(call, call.call.signal, left);
    return fallOver(agentIds, (node, isLast) => {
      const options = { ...pinned(call, node), timeoutMs: left() };
      return isLast ? this.#client.embed(input, options) : this.#embedWhileThere(node, input, options);
    });
  }

  async #embedWhileThere(agentId: string, input: EmbedInput, options: CallOptions): Promise<EmbedResult> {
    const { signal } = options;
    const ended = new AbortController();
    // By hand: AbortSignal.any() keeps what it is made from (https://github.com/nodejs/node/issues/54614).
    const follow = (): void => ended.abort(signal?.reason);
    signal?.addEventListener("abort", follow, { once: true });
    if (signal?.aborted === true) follow();
    try {
      const begun = this.#client.embed(input, { ...options, signal: ended.signal });
      return await this.#watch.whileThere({ agentId, begun, leave: () => ended.abort("its agent went away") });
    } finally {
      signal?.removeEventListener("abort", follow);
    }
  }

  /** The one model of the fleet that embeds. */
  async embeddingModel({ signal, timeoutMs = ASK_TIMEOUT_MS, headers }: ForwardOptions): Promise<string> {
    const models = await this.#client.fleet.listModels({ signal, timeoutMs, headers });
    const names = models.filter(({ capabilities }) => capabilities.includes("embedding")).map(({ name }) => name);
    const [only, ...others] = names;
    if (only !== undefined && others.length === 0) return only;
    const why = only === undefined ? "no model of the fleet has the capability" : `several can: ${names.join(", ")}`;
    throw invalidArgument(`Say which \`model\` shall embed: ${why}.`);
  }

  async #choose(
    { model, preferences, call: { headers } }: ProviderCall,
    signal: AbortSignal | undefined,
    left: () => number | undefined,
  ): Promise<readonly string[]> {
    const rank = () => {
      // After the turn: the wait for it is part of the deadline.
      const options = { signal, timeoutMs: left(), headers };
      return rankAgents(this.#client, this.#latencies, { model, preferences, options });
    };
    const { ranking } = await this.#turns.take(rank, { signal, timeoutMs: left() });
    return ranking.map(({ nodeId }) => nodeId);
  }

  /** The deadline of a call that is sent in several steps: what is left of it, at least 1 ms, from its first step on. */
  #timeLeft(timeoutMs: number | undefined): () => number | undefined {
    let endMs: number | undefined;
    return () => {
      if (timeoutMs === undefined || !(timeoutMs > 0)) return timeoutMs;
      const nowMs = this.#clock.nowMs();
      endMs ??= nowMs + timeoutMs;
      return Math.max(endMs - nowMs, 1);
    };
  }
}

/** The session goes along, so that later calls without a choice of their own find the agent. */
function pinned({ call, preferences }: ProviderCall, node: string): CallOptions {
  return { ...call, node, session: preferences.session };
}
