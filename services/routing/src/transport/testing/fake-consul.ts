/**
 * A Consul whose answers a test scripts, faults included: real HTTP on loopback, in this process. What the real one says is the
 * business of the tests with the real one.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";

export interface FakeQuestion {
  readonly index: string;
  readonly wait: string;
  readonly token: string | undefined;
}

/** Answers one question. `question.index` is what was asked with. */
export type FakeAnswer = (response: ServerResponse, question: FakeQuestion) => void;

export interface FakeConsul {
  readonly url: string;
  /** All that were asked, in order. */
  readonly questions: readonly FakeQuestion[];
  /** Questions that wait for their answer now. */
  readonly open: number;
  /** What the next questions get, one each; after them every question waits. */
  answer(...answers: readonly FakeAnswer[]): void;
  /** What every further question gets. */
  always(answer: FakeAnswer): void;
  /** Cuts all connections and refuses new ones, as a process that was killed. */
  kill(): Promise<void>;
}

export interface FakeService {
  readonly name: string;
  readonly port?: number;
  readonly meta?: Readonly<Record<string, string>>;
  readonly checks?: readonly object[];
}

/** An entry of `/v1/health/service`, as Consul writes it. */
export function fakeEntry({ name, port = 50_052, meta, checks }: FakeService): object {
  return {
    Node: { ID: `machine-of-${name}`, Node: `machine-of-${name}`, Address: "10.0.0.1", Datacenter: "dc1", Meta: null },
    Service: {
      ID: name,
      Service: "drover-agent",
      Tags: [],
      Address: name,
      Port: port,
      Meta: { id: `id-${name}`, name, base_weight: "100", ...meta },
      Weights: { Passing: 1, Warning: 1 },
    },
    Checks: checks ?? [
      { Node: `machine-of-${name}`, CheckID: "serfHealth", Name: "Serf", Status: "passing", Output: "" },
    ],
  };
}

/** A whole answer, compressed as Consul does. */
export function listOf(
  index: string | number,
  names: readonly string[],
  headers: Record<string, string> = {},
): FakeAnswer {
  return bodyOf(index, JSON.stringify(names.map((name) => fakeEntry({ name }))), headers);
}

export function bodyOf(index: string | number, text: string, headers: Record<string, string> = {}): FakeAnswer {
  return (response) => {
    const body = gzipSync(text);
    const own = { "content-type": "application/json", "content-encoding": "gzip", "x-consul-index": String(index) };
    response.writeHead(200, { ...own, ...headers });
    response.end(body);
  };
}

export function statusOf(status: number, text: string, headers: Record<string, string> = {}): FakeAnswer {
  return (response) => {
    response.writeHead(status, headers);
    response.end(text);
  };
}

export async function startFakeConsul(): Promise<FakeConsul> {
  const questions: FakeQuestion[] = [];
  const scripted: FakeAnswer[] = [];
  const waiting = new Set<{ readonly response: ServerResponse; readonly question: FakeQuestion }>();
  let forEver: FakeAnswer | undefined;
  const ask = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? "", "http://consul");
    const question = {
      index: url.searchParams.get("index") ?? "",
      wait: url.searchParams.get("wait") ?? "",
      token: request.headers["x-consul-token"]?.toString(),
    };
    questions.push(question);
    const answer = scripted.shift() ?? forEver;
    if (answer !== undefined) return answer(response, question);
    const entry = { response, question };
    waiting.add(entry);
    response.once("close", () => waiting.delete(entry));
  };
  const server = createServer(ask);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const give = (): void => {
    for (const entry of [...waiting]) {
      const answer = scripted.shift() ?? forEver;
      if (answer === undefined) return;
      waiting.delete(entry);
      answer(entry.response, entry.question);
    }
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    questions,
    get open() {
      return waiting.size;
    },
    answer: (...answers) => {
      scripted.push(...answers);
      give();
    },
    always: (answer) => {
      forEver = answer;
      give();
    },
    kill: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
