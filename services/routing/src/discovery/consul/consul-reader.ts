/**
 * What discovery needs of HTTP. The sockets are in transport/consul-http.ts, since discovery may not know any.
 */

export interface ConsulQuestion {
  /** With query, from `/v1` on. */
  readonly path: string;
  /** For the whole answer, body included. */
  readonly deadlineMs: number;
  /** Aborting closes the socket. */
  readonly signal: AbortSignal;
}

export type ConsulAnswer =
  | {
      readonly kind: "answered";
      readonly status: number;
      /** X-Consul-Index; undefined where there was none. */
      readonly index: string | undefined;
      /** Consul says that the token hid entries (X-Consul-Results-Filtered-By-ACLs, Consul 1.11 and later). */
      readonly isFiltered: boolean;
      /** As it came, perhaps compressed: good for telling whether two answers are the same. */
      readonly raw: Uint8Array;
      /** The body in pieces, between which the event loop runs. Throws an Error in plain words when it is broken or too long. */
      readonly pieces: () => AsyncIterable<Uint8Array>;
    }
  /** `reason` in plain words, without secrets. */
  | { readonly kind: "failed"; readonly reason: string };

export interface ConsulReader {
  /** Shown to operators; has no secrets. */
  readonly displayUrl: string;
  get(question: ConsulQuestion): Promise<ConsulAnswer>;
}
