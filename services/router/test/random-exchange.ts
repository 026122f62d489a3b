/**
 * Random calls for tests of the way through: request, answer, and the pieces and pauses in which the answer is sent, all drawn from one
 * number, so that both ends know what must come without talking to each other.
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { type RelayHandler, type Rng, seededRng, sleep, systemClock } from "@drover/platform";
import { ChatRequestSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { framed } from "./raw-call.ts";

/** The metadata key that tells the agent the number. */
export const SEED_KEY = "test-seed";

const PROGRESS = 0x0a;
const CHUNK = 0x12;
const DONE = 0x1a;

export interface Exchange {
  readonly request: Buffer;
  /** What the caller must get: all messages but the empty ones. */
  readonly answer: Buffer;
  /** What the agent sends, one write each. */
  readonly pieces: readonly Buffer[];
  /** Before these pieces the agent lets the earlier ones leave. */
  readonly pausesBefore: ReadonlySet<number>;
}

export function randomExchange(seed: number, model: string): Exchange {
  const rng = seededRng(seed);
  const request = create(ChatRequestSchema, { model, messages: [{ role: "user", content: "p".repeat(length(rng)) }] });
  const bodies = Array.from({ length: whole(rng, 12) }, () => body(rng));
  bodies.push(tagged(DONE, length(rng)));
  const pieces = randomCut(Buffer.concat(bodies.map((each) => framed(each))), rng);
  return {
    request: framed(toBinary(ChatRequestSchema, request)),
    answer: Buffer.concat(bodies.filter((each) => each.length > 0).map((each) => framed(each))),
    pieces,
    pausesBefore: new Set([...pieces.keys()].filter(() => rng.next() < 0.1)),
  };
}

/** Answers a call as its seed says; a request that is not the one of that seed is answered with status 3. */
export function answerRandomly(model: string): RelayHandler {
  return (stream, headers) => void answer(stream, headers, model);
}

async function answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, model: string): Promise<void> {
  const exchange = randomExchange(Number(headers[SEED_KEY]), model);
  const received: Buffer[] = [];
  for await (const part of stream) received.push(part as Buffer);
  const isSame = Buffer.concat(received).equals(exchange.request);
  stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
  stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": isSame ? "0" : "3" }));
  for (const [index, piece] of exchange.pieces.entries()) {
    if (exchange.pausesBefore.has(index)) await sleep(systemClock, 0);
    stream.write(piece);
  }
  stream.end();
}

function body(rng: Rng): Buffer {
  const kind = rng.next();
  if (kind < 0.05) return Buffer.alloc(0);
  return tagged(kind < 0.2 ? PROGRESS : CHUNK, length(rng));
}

function tagged(tag: number, bytes: number): Buffer {
  return Buffer.alloc(bytes + 1, tag);
}

/** Mostly as long as a token, now and then longer than the windows of HTTP/2. */
function length(rng: Rng): number {
  return whole(rng, rng.next() < 0.02 ? 200_000 : 120);
}

/** At most some 40 pieces, of one byte as often as of many. */
function randomCut(bytes: Buffer, rng: Rng): Buffer[] {
  const longest = Math.max(bytes.length / 20, 2);
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 1 + whole(rng, rng.next() < 0.3 ? 3 : longest);
    pieces.push(bytes.subarray(at, end));
    at = end;
  }
  return pieces;
}

/** 0 up to, not including, `limit`. */
function whole(rng: Rng, limit: number): number {
  return Math.floor(rng.next() * limit);
}
