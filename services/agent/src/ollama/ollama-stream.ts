/**
 * One streamed answer of Ollama, from the request to its end. It reads ahead up to a bound, so that a slow caller does not
 * hold the GPU; it watches for silence; and it tells the ways apart in which a stream can end. It does not know protobuf.
 */
import { type Clock, DroverError, ReadAheadBuffer, type Timer } from "@drover/platform";
import { createNdjsonDecoder, LineTooLongError } from "./ndjson.ts";
import type { OllamaOpener } from "./ollama-client.ts";
import { type OllamaCounts, streamCounts } from "./ollama-counts.ts";
import { classifyOllamaFailure, type OllamaErrorContext, ollamaUnreachable } from "./ollama-error.ts";
import { createLineReader, type LineReader, type OllamaLine } from "./ollama-line.ts";

export interface StreamLimits {
  /** From the start of the request until its first line. */
  readonly firstTokenTimeoutMs: number;
  /** Between two reads after the first line. Does not run while the caller holds us up. */
  readonly stallTimeoutMs: number;
  /** How long the caller may leave the full buffer untouched. */
  readonly callerStallTimeoutMs: number;
  /** How much is read ahead of the caller. */
  readonly readAheadBytes: number;
  /** The longest line: the last one of generate carries the whole context. */
  readonly lineLimitBytes: number;
}

export interface StreamRequest extends OllamaErrorContext {
  readonly path: "/api/generate" | "/api/chat";
  readonly body: string;
  /** Beside Ollama's own: the trace that the call belongs to. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Called once, when the first line comes. */
  readonly onFirstLine?: () => void;
}

/** From `done` until the end of the body, which follows at once. */
const GRACE_AFTER_DONE_MS = 1_000;

export class OllamaStream {
  /** Resolves when Ollama's socket is no longer used, with the error that ended the stream; the slot is free from then on. */
  readonly closed: Promise<DroverError | undefined>;
  readonly #clock: Clock;
  readonly #limits: StreamLimits;
  readonly #request: StreamRequest;
  readonly #buffer: ReadAheadBuffer<OllamaLine>;
  readonly #reader: LineReader;
  readonly #abort = new AbortController();
  #watchdog: Timer | undefined;
  #firstLineAtMs: number | undefined;
  #failure: DroverError | undefined;
  #counts: OllamaCounts | undefined;
  #isCut = false;

  /** Sends the request at once. */
  constructor(client: OllamaOpener, clock: Clock, limits: StreamLimits, request: StreamRequest) {
    this.#clock = clock;
    this.#limits = limits;
    this.#request = request;
    this.#buffer = new ReadAheadBuffer(limits.readAheadBytes);
    this.#reader = createLineReader(request);
    this.#watch(limits.firstTokenTimeoutMs, () => this.#firstTokenTimeout());
    this.closed = this.#run(client);
  }

  /** When the first line came, on the clock's monotonic scale. */
  get firstLineAtMs(): number | undefined {
    return this.#firstLineAtMs;
  }

  /** What Ollama counted; undefined until `done` was read. */
  get counts(): OllamaCounts | undefined {
    return this.#counts;
  }

  /** Whether we closed the socket before the end of the answer. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** Whether the last line, `done`, was read. */
  get isDone(): boolean {
    return this.#reader.isDone;
  }

  /** The next line; undefined after `done`. Throws a DroverError for every other end. One reader at a time. */
  next(): Promise<OllamaLine | undefined> {
    return this.#buffer.take();
  }

  /** Ends the stream with `error` and destroys Ollama's socket at once. Harmless after the end. */
  abort(error: DroverError): void {
    this.#buffer.abort(error);
    this.#failure ??= error;
    this.#abort.abort(error);
  }

  async #run(client: OllamaOpener): Promise<DroverError | undefined> {
    try {
      const { path, body, headers } = this.#request;
      const response = await client.open({ method: "POST", path, body, headers, signal: this.#abort.signal });
      if (response.kind === "refused") {
        throw classifyOllamaFailure({ ...this.#request, ...response.answer, isEmbed: false });
      }
      await this.#pump(response.body);
      this.#buffer.end();
    } catch (cause) {
      this.#isCut = this.#abort.signal.aborted && !this.#reader.isDone;
      // After an abort there is a reason already, and the first one stands. A broken connection after `done` breaks nothing.
      if (!this.#reader.isDone) this.#failure ??= this.#brokenBy(cause);
      if (this.#failure !== undefined) this.#buffer.fail(this.#failure);
      else this.#buffer.end();
    } finally {
      this.#watchdog?.cancel();
    }
    return this.#failure;
  }

  async #pump(body: AsyncIterable<Uint8Array>): Promise<void> {
    const decoder = createNdjsonDecoder(this.#limits.lineLimitBytes);
    for await (const chunk of body) {
      for (const line of decoder.push(chunk)) this.#take(line);
      if (this.#reader.isDone) continue;
      await this.#waitForRoom();
      if (this.#firstLineAtMs !== undefined) this.#watch(this.#limits.stallTimeoutMs, () => this.#stalled());
    }
    const rest = decoder.end();
    if (rest !== undefined) this.#take(rest);
    if (!this.#reader.isDone) throw this.#reader.endedEarly();
  }

  #take(text: string): void {
    if (this.#reader.isDone) return;
    if (this.#firstLineAtMs === undefined) {
      this.#firstLineAtMs = this.#clock.nowMs();
      this.#request.onFirstLine?.();
    }
    const line = this.#reader.read(text);
    if (line.kind === "done") this.#counts = streamCounts(line.object);
    // Characters stand for bytes: close enough for a bound, and free.
    this.#buffer.push(line, text.length);
    if (line.kind === "done") this.#finish();
  }

  /** The answer is whole. Ollama may close its side, so that the connection can serve again; the slot does not wait for long. */
  #finish(): void {
    this.#buffer.end();
    this.#watch(GRACE_AFTER_DONE_MS, () => this.#abort.abort());
  }

  /** While it waits no watchdog of Ollama's runs: it is our own caller that is slow. */
  async #waitForRoom(): Promise<void> {
    while (this.#buffer.isFull) {
      this.#watch(this.#limits.callerStallTimeoutMs, () => this.#callerStalled());
      await this.#buffer.taken();
    }
  }

  #watch(timeoutMs: number, onTimeout: () => void): void {
    this.#watchdog?.cancel();
    this.#watchdog = this.#clock.after(timeoutMs, onTimeout);
  }

  #firstTokenTimeout(): void {
    const { model, node } = this.#request;
    const waited = `${this.#limits.firstTokenTimeoutMs / 1000} s`;
    const message = `No token of model "${model}" came from Ollama on node "${node}" within ${waited}. Ollama's log may say why; for longer prompts raise the agent's --first-token-timeout.`;
    this.#giveUp(new DroverError("first_token_timeout", message, { facts: { model, node } }));
  }

  #stalled(): void {
    this.#giveUp(this.#reader.stalled(this.#limits.stallTimeoutMs));
  }

  #callerStalled(): void {
    const { model, node } = this.#request;
    const waited = `${this.#limits.callerStallTimeoutMs / 1000} s`;
    const message = `The caller read nothing for ${waited}, so the answer of model "${model}" on node "${node}" was ended.`;
    this.abort(new DroverError("caller_stalled", message, { facts: { model, node } }));
  }

  /** What was read before the watchdog fired still goes to the caller. */
  #giveUp(error: DroverError): void {
    this.#failure ??= error;
    this.#buffer.fail(error);
    this.#abort.abort(error);
  }

  #brokenBy(cause: unknown): DroverError {
    if (cause instanceof DroverError) return cause;
    if (cause instanceof LineTooLongError) return this.#reader.unreadable(cause);
    if (this.#firstLineAtMs === undefined) return ollamaUnreachable(this.#request, cause);
    return this.#reader.broken(cause);
  }
}
