/**
 * An answer whose agent is chosen when it is first used, and chosen again while no piece of it has come.
 */
import type { TokenStream } from "../client/token-stream.ts";
import { invalidArgument } from "../errors/drover-error.ts";
import type { AgentWatch } from "./agent-watch.ts";
import { fallOver } from "./fall-over.ts";

export interface Placing<Chunk, Result> {
  /** Ids of the agents to try, best first. */
  readonly choose: (signal: AbortSignal) => Promise<readonly string[]>;
  readonly open: (agentId: string, signal: AbortSignal) => TokenStream<Chunk, Result>;
  readonly watch: AgentWatch;
  /** The caller's own. */
  readonly signal: AbortSignal | undefined;
}

interface Begun<Chunk, Result> {
  readonly stream: TokenStream<Chunk, Result>;
  readonly iterator: AsyncIterator<Chunk>;
  readonly first: IteratorResult<Chunk>;
}

export class PlacedStream<Chunk, Result> implements TokenStream<Chunk, Result> {
  readonly #placing: Placing<Chunk, Result>;
  readonly #ended = new AbortController();
  #begun: Promise<Begun<Chunk, Result>> | undefined;
  #isRead = false;

  constructor(placing: Placing<Chunk, Result>) {
    this.#placing = placing;
  }

  [Symbol.asyncIterator](): AsyncIterator<Chunk> {
    if (this.#isRead) {
      throw invalidArgument("This answer is being read already: loop over it once, and before text() or result().");
    }
    this.#isRead = true;
    const pieces = this.#pieces();
    const leave = () => {
      // A generator hears of it only where it yields, and one that never began not at all.
      this.#ended.abort("the loop was left");
      return pieces.return();
    };
    return { next: () => pieces.next(), return: leave };
  }

  async text(): Promise<string> {
    return (await this.#whole()).text();
  }

  async result(): Promise<Result> {
    return (await this.#whole()).result();
  }

  cancel(): void {
    this.#ended.abort("cancel() was called");
  }

  /** The stream, once somebody reads it to its end. */
  async #whole(): Promise<TokenStream<Chunk, Result>> {
    if (!this.#isRead) for await (const _ of this);
    return (await this.#begin()).stream;
  }

  async *#pieces(): AsyncGenerator<Chunk, void> {
    const { signal } = this.#placing;
    let begun: Begun<Chunk, Result> | undefined;
    // By hand: AbortSignal.any() keeps what it is made from (https://github.com/nodejs/node/issues/54614).
    signal?.addEventListener("abort", this.#follow, { once: true });
    if (signal?.aborted === true) this.#follow();
    try {
      begun = await this.#begin();
      for (let read = begun.first; read.done !== true; read = await begun.iterator.next()) yield read.value;
    } finally {
      signal?.removeEventListener("abort", this.#follow);
      // After the end this does nothing.
      await begun?.iterator.return?.();
    }
  }

  readonly #follow = (): void => this.#ended.abort(this.#placing.signal?.reason);

  #begin(): Promise<Begun<Chunk, Result>> {
    this.#begun ??= this.#place();
    return this.#begun;
  }

  async #place(): Promise<Begun<Chunk, Result>> {
    const { choose, open, watch } = this.#placing;
    const ended = this.#ended.signal;
    return fallOver(await choose(ended), async (agentId, isLast) => {
      const stream = open(agentId, ended);
      const iterator = stream[Symbol.asyncIterator]();
      const begun = iterator.next();
      const leave = (): void => stream.cancel();
      const first = await (isLast ? begun : watch.whileThere({ agentId, begun, leave }));
      return { stream, iterator, first };
    });
  }
}
