/** One router as the client holds it: how it is called, and what became of a call there. What is behind it is its maker's matter. */
import type { ConnectError, Transport } from "@connectrpc/connect";

export interface Router {
  /** As errors name it. */
  readonly url: string;
  readonly transport: Transport;
  /**
   * Its failures do not tell whether a call was sent, as those of `fetch` in browsers: where there are several routers it is asked
   * for its health before a call goes to it.
   */
  readonly needsProof: boolean;
  /** Reads what `transport` threw by itself: no status from the wire, and neither the caller's signal nor its deadline. */
  explain(error: ConnectError): Failure;
  /** Takes no more calls; those that run end by themselves. */
  retire(): void;
  /** Ends what runs on it. */
  close(): void;
}

export type Failure =
  /** The router's own words, those of a node behind it, or a fault of the call itself. */
  | { readonly kind: "answered"; readonly error: ConnectError }
  /** No node can have seen the call. `why` goes into a sentence after the router's name; `error` where the router said so itself. */
  | { readonly kind: "never-ran"; readonly why: string; readonly error?: ConnectError }
  /** No answer began, and nobody can say whether the call was sent: all that a browser tells of a network that failed. */
  | { readonly kind: "unclear"; readonly why: string }
  /** It was sent, and what came of it is unknown. */
  | { readonly kind: "lost"; readonly why: string };

export type OpenRouter = (url: string) => Router;
