/**
 * HTTP to the local Ollama. It knows sockets, undici and their errors; what a request means and what a caller is told
 * belongs to others. Watchdogs are the callers': undici's own timeouts are off, because Ollama sends not even headers
 * before queue, load and prefill are over (server/routes.go streamResponse).
 */
import { type Clock, isLoopbackHost } from "@drover/platform";
import { type Dispatcher, Pool } from "undici";

/** Loopback or a machine near by: a connection that takes longer will not come. */
const CONNECT_TIMEOUT_MS = 5_000;

/** Answers that are read whole: /api/embed and /api/show can be large, and no answer may eat the process. */
const ANSWER_LIMIT_BYTES = 64 * 1024 * 1024;

/** A refusal is a sentence; longer is a page of some proxy. */
const REFUSAL_LIMIT_BYTES = 64 * 1024;

export interface OllamaRequest {
  readonly method: "GET" | "HEAD" | "POST";
  readonly path: string;
  /** JSON text. */
  readonly body?: string;
  /** Beside those of every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Aborting destroys the socket at once; a half-close would not do (it cancels on some versions and not on others). */
  readonly signal?: AbortSignal;
}

export interface OllamaAnswer {
  readonly status: number;
  readonly text: string;
}

/** A successful answer whose body comes as it is made, or a refusal that was read whole. */
export type OllamaResponse =
  | { readonly kind: "body"; readonly body: AsyncIterable<Uint8Array> }
  | { readonly kind: "refused"; readonly answer: OllamaAnswer };

export class OllamaTimeoutError extends Error {
  override readonly name = "OllamaTimeoutError";
}

export class OllamaClient {
  /** Where Ollama is; for logs and for the operator, not for callers. */
  readonly displayUrl: string;
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #pathPrefix: string;
  readonly #headers: Record<string, string>;

  constructor(url: URL, clock: Clock) {
    this.#clock = clock;
    this.#pool = new Pool(url.origin, {
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: { timeout: CONNECT_TIMEOUT_MS },
    });
    this.#pathPrefix = url.pathname.replace(/\/+$/, "");
    this.displayUrl = `${url.origin}${this.#pathPrefix}`;
    this.#headers = { "content-type": "application/json" };
    // Ollama on loopback answers 403 to a Host that is not local (server/routes.go allowedHostsMiddleware).
    if (isLoopbackHost(url.hostname.replace(/^\[|\]$/g, ""))) this.#headers["host"] = "localhost";
  }

  /** Reads the whole answer. Rejects when there is none: refused, reset, over `timeoutMs` (OllamaTimeoutError), aborted. */
  async ask(request: OllamaRequest, timeoutMs: number): Promise<OllamaAnswer> {
    const timeout = new AbortController();
    const fire = (): void =>
      timeout.abort(new OllamaTimeoutError(`no answer to ${request.path} within ${timeoutMs} ms`));
    const timer = this.#clock.after(timeoutMs, fire);
    const signal = request.signal === undefined ? timeout.signal : AbortSignal.any([request.signal, timeout.signal]);
    try {
      const response = await this.#send({ ...request, signal });
      return { status: response.statusCode, text: await readText(response.body, ANSWER_LIMIT_BYTES) };
    } finally {
      timer.cancel();
    }
  }

  /** Sends a request whose answer is read as it comes. The caller sets the time limits through `signal`. */
  async open(request: OllamaRequest): Promise<OllamaResponse> {
    const response = await this.#send(request);
    if (response.statusCode === 200) return { kind: "body", body: response.body };
    const text = await readText(response.body, REFUSAL_LIMIT_BYTES);
    return { kind: "refused", answer: { status: response.statusCode, text } };
  }

  /** Destroys all sockets; requests that still run fail. */
  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  #send(request: OllamaRequest): Promise<Dispatcher.ResponseData> {
    return this.#pool.request({
      method: request.method,
      path: `${this.#pathPrefix}${request.path}`,
      headers: { ...this.#headers, ...request.headers },
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    });
  }
}

/** What those need who read whole answers; tests give one of their own. */
export type OllamaAsker = Pick<OllamaClient, "ask">;

/** What those need who read an answer as it comes. */
export type OllamaOpener = Pick<OllamaClient, "open">;

/** Leaving the loop early destroys the socket. */
async function readText(body: AsyncIterable<Uint8Array>, limitBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > limitBytes) throw new Error(`the answer is longer than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, bytes).toString("utf8");
}
