/**
 * Speaks plain HTTP to an Ollama for tests: every request on a socket of its own that a test may destroy or half-close
 * at any time. Hides nothing: status, headers and every line come back as they were.
 */
import { type ClientRequest, type IncomingHttpHeaders, request } from "node:http";
import type { Socket } from "node:net";

export type Json = Readonly<Record<string, unknown>>;

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as one JSON object. */
  readonly json: () => Json;
  /** The body as lines of JSON. */
  readonly lines: () => Json[];
  /** When headers and end came, since the request was sent. */
  readonly headersAfterMs: number;
  readonly endAfterMs: number;
  /** Whether the end was a proper one, not a reset or a cut. */
  readonly isComplete: boolean;
}

export interface OpenCall {
  /** Resolves with the whole answer; rejects when the socket broke before the headers. */
  readonly answer: Promise<Answer>;
  /** Resolves when so many lines of the body are there; rejects when the answer ends before. */
  linesReceived(count: number): Promise<void>;
  hasHeaders(): boolean;
  /** Closes the socket, as a caller who leaves. */
  destroy(): void;
  /** Sends FIN and goes on reading. */
  halfClose(): void;
}

export interface CallOptions {
  readonly method?: string;
  /** A string goes out as it is, an object as JSON. */
  readonly body?: string | object;
  readonly headers?: Readonly<Record<string, string>>;
}

export async function send(url: string, path: string, options: CallOptions = {}): Promise<Answer> {
  return openCall(url, path, options).answer;
}

export async function post(url: string, path: string, body: string | object): Promise<Answer> {
  return send(url, path, { method: "POST", body });
}

export function openCall(url: string, path: string, options: CallOptions = {}): OpenCall {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  // Whoever destroys a call seldom waits for its answer.
  promise.catch(() => undefined);
  const waiters = new Set<{ count: number; resolve: () => void; reject: (error: Error) => void }>();
  const startMs = performance.now();
  let text = "";
  let headersAfterMs: number | undefined;
  let count = 0;
  const notify = (): void => {
    for (const waiter of waiters) if (count >= waiter.count) waiter.resolve();
  };
  const call = start(url, path, options);
  let socket: Socket | undefined;
  call.once("socket", (opened) => {
    socket = opened;
  });
  // A reset in mid-answer is told by `isComplete`; before the headers there is nothing else to tell.
  call.on("error", (error) => {
    if (headersAfterMs === undefined) reject(error);
  });
  call.once("response", (response) => {
    headersAfterMs = performance.now() - startMs;
    response.setEncoding("utf8");
    response.on("data", (part: string) => {
      text += part;
      count += part.split("\n").length - 1;
      notify();
    });
    response.on("error", () => undefined);
    response.once("close", () => {
      for (const waiter of waiters) waiter.reject(new Error(`the answer ended early: ${text.slice(-300)}`));
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers,
        text,
        json: () => JSON.parse(text) as Json,
        lines: () => parseLines(text),
        headersAfterMs: headersAfterMs ?? 0,
        endAfterMs: performance.now() - startMs,
        isComplete: response.complete,
      });
    });
  });
  return {
    answer: promise,
    linesReceived: (count) =>
      new Promise((whenThere, whenNot) => {
        waiters.add({ count, resolve: whenThere, reject: whenNot });
        promise.catch(whenNot);
        notify();
      }),
    hasHeaders: () => headersAfterMs !== undefined,
    destroy: () => call.destroy(),
    halfClose: () => socket?.end(),
  };
}

function start(url: string, path: string, { method = "GET", body, headers = {} }: CallOptions): ClientRequest {
  const call = request(new URL(path, url), { method, headers, agent: false });
  if (body !== undefined) {
    const bytes = Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
    if (headers["content-length"] === undefined) call.setHeader("content-length", bytes.length);
    call.write(bytes);
  }
  call.end();
  return call;
}

function parseLines(text: string): Json[] {
  return text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as Json);
}
