/**
 * One call over the routers of a client. It goes to another router only when it provably never ran at a node, before its first
 * message, to each router at most once and within the caller's deadline; whatever else happens is the caller's to know.
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { answeredFailure, notGrpcFailure } from "./answered-failure.ts";
import { insecureToken, type TokenRule, withToken } from "./bearer-token.ts";
import type { CallBounds } from "./call-bounds.ts";
import type { Clock } from "./clock.ts";
import { connectionError } from "./connection-error.ts";
import type { Failure, Router } from "./router.ts";
import type { RouterList } from "./router-list.ts";
import type { RouterPool } from "./router-pool.ts";

export interface FailoverParts extends TokenRule {
  readonly clock: Clock;
  readonly list: RouterList;
  readonly pool: RouterPool;
}

/** What one try sends beside the message. */
export interface Sent {
  readonly timeoutMs: number | undefined;
  readonly header: HeadersInit | undefined;
}

type NeverRan = Failure & { readonly kind: "never-ran" };

/** How long the caller waits for its first token, whichever router it is that lets it wait. */
const MAX_WAIT = "drover-max-wait-ms";

export class FailoverCall {
  readonly #parts: FailoverParts;
  readonly #bounds: CallBounds;
  #header: HeadersInit | undefined;
  readonly #tried = new Map<string, NeverRan>();
  #isListFresh = false;

  constructor(parts: FailoverParts, bounds: CallBounds, header: HeadersInit | undefined) {
    this.#parts = parts;
    this.#bounds = bounds;
    this.#header = header;
  }

  async run<Response>(send: (router: Router, sent: Sent) => Promise<Response>): Promise<Response> {
    const { list, pool, token } = this.#parts;
    const urls = list.urls();
    pool.update(urls instanceof Promise ? await this.#bounds.wait(urls) : urls);
    if (token !== undefined) this.#header = await this.#bounds.wait(withToken(this.#header, token));
    for (;;) {
      const router = await this.#next();
      try {
        const response = await send(router, this.#sent());
        pool.worked(router);
        return response;
      } catch (error) {
        const failure = this.#failureOf(router, error);
        if (failure.kind !== "never-ran") throw this.#told(router, failure, error);
        pool.failed(router);
        this.#tried.set(router.url, failure);
      }
    }
  }

  /** What the caller gets of an error that ended the call at this router. */
  explain(router: Router, error: unknown): ConnectError {
    const failure = this.#failureOf(router, error);
    // After a first message it ran, whatever the error says of itself.
    if (failure.kind === "answered") return failure.error;
    return "error" in failure ? failure.error : this.#told(router, { kind: "lost", why: failure.why }, error);
  }

  /** A router that may be tried, or the error that says why there is none. */
  async #next(): Promise<Router> {
    const { pool } = this.#parts;
    for (;;) {
      this.#bounds.check();
      const router = pool.pick(new Set(this.#tried.keys())) ?? (await this.#lookAgain());
      if (router === undefined) throw this.#nobody();
      const refusal = insecureToken(router.url, this.#parts);
      if (refusal !== undefined) {
        this.#tried.set(router.url, { kind: "never-ran", why: refusal.rawMessage, error: refusal });
        continue;
      }
      const proof = pool.prove(router);
      if (proof === true || (await this.#bounds.wait(Promise.resolve(proof)))) return router;
      this.#tried.set(router.url, { kind: "never-ran", why: "it did not answer a health check" });
    }
  }

  /** All known routers failed: maybe they are others by now. */
  async #lookAgain(): Promise<Router | undefined> {
    const { list, pool } = this.#parts;
    if (pool.isClosed) throw connectionError("ROUTER_UNREACHABLE", "The client was closed: create another one.");
    if (this.#isListFresh) return undefined;
    this.#isListFresh = true;
    pool.update(await this.#bounds.wait(list.freshUrls()));
    return pool.pick(new Set(this.#tried.keys()));
  }

  #sent(): Sent {
    const { timeoutMs, elapsedMs } = this.#bounds;
    if (this.#tried.size === 0) return { timeoutMs, header: this.#header };
    const header = new Headers(this.#header);
    const maxWaitMs = Number(header.get(MAX_WAIT) ?? Number.NaN);
    if (Number.isInteger(maxWaitMs)) header.set(MAX_WAIT, String(Math.max(Math.floor(maxWaitMs - elapsedMs), 0)));
    return { timeoutMs, header };
  }

  #failureOf(router: Router, thrown: unknown): Failure {
    // What the network does comes as a ConnectError.
    if (thrown instanceof TypeError) return { kind: "answered", error: unsendable(thrown) };
    const error = ConnectError.from(thrown);
    const { signal } = this.#bounds;
    if (error.isWireError) return answeredFailure(error);
    if (signal?.aborted === true) return { kind: "answered", error };
    if (error.code === Code.DeadlineExceeded) return { kind: "answered", error: this.#late(router, error) };
    return notGrpcFailure(router.url, error) ?? router.explain(error);
  }

  #told(router: Router, failure: Exclude<Failure, NeverRan>, cause: unknown): ConnectError {
    if (failure.kind === "answered") return failure.error;
    this.#parts.pool.failed(router);
    const options = { facts: { router: router.url }, cause };
    if (failure.kind === "unclear") {
      const message = `Router ${router.url} could not be reached, or the call was lost on its way: ${failure.why}.`;
      return connectionError("ROUTER_UNREACHABLE", `${message}${this.#before()}`, options);
    }
    const message = `The connection to router ${router.url} was lost after the call was sent: ${failure.why}. The call may have run.`;
    return connectionError("CONNECTION_LOST", `${message}${this.#before()}`, options);
  }

  #nobody(): ConnectError {
    const tried = [...this.#tried.values()];
    const answers = tried.flatMap(({ error }) => error ?? []);
    const last = answers.at(-1);
    // Every router is there and has its own words: the last one's will do.
    if (last !== undefined && answers.length === tried.length) return last;
    const how =
      tried.length === 1 ? "The router could not be reached" : `None of ${tried.length} routers took the call`;
    const facts = { routers: [...this.#tried.keys()].join(",") };
    return connectionError("ROUTER_UNREACHABLE", `${how}: ${sentence(this.#tried)}.`, { facts });
  }

  /** The client has its own words for a deadline; only where routers were tried in vain those must be named. */
  #late(router: Router, cause: ConnectError): ConnectError {
    if (this.#tried.size === 0) return cause;
    const message = `The deadline passed before router ${router.url} answered.${this.#before()}`;
    return connectionError("DEADLINE_EXCEEDED", message, { facts: { router: router.url }, cause });
  }

  #before(): string {
    return this.#tried.size === 0 ? "" : ` Before that: ${sentence(this.#tried)}.`;
  }
}

function sentence(tried: ReadonlyMap<string, NeverRan>): string {
  return [...tried].map(([url, { why }]) => `${url}: ${why}`).join("; ");
}

function unsendable(cause: TypeError): ConnectError {
  return connectionError("INVALID_ARGUMENT_LOCAL", `The call cannot be sent: ${cause.message}`, { cause });
}
