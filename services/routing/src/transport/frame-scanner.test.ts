import { seededRng } from "@drover/platform";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { frame } from "../testing/frames.ts";
import { FrameScanner, withoutEmptyMessages } from "./frame-scanner.ts";

const PROGRESS = 0x0a;
const CHUNK = 0x12;
const DONE = 0x1a;
const SEED = 20_261_121;

/**
 * Cuts `stream` at `at`, pushes the pieces, and returns what a relay that holds back unfinished tails has passed on. It throws
 * instead of using `expect`, which takes longer than the scanner does.
 */
function relayed(scanner: FrameScanner, stream: Buffer, at: readonly number[]): Buffer {
  const edges = [0, ...at, stream.length];
  const out: Uint8Array[] = [];
  let tail: Uint8Array[] = [];
  for (let index = 1; index < edges.length; index++) {
    const piece = stream.subarray(edges[index - 1], edges[index]);
    const whole = scanner.push(piece);
    if (whole > piece.length) throw new Error(`${whole} of ${piece.length} bytes end at a boundary`);
    if (whole > 0) {
      out.push(...tail, piece.subarray(0, whole));
      tail = [];
    }
    if (whole < piece.length) tail.push(piece.subarray(whole));
    if (scanner.isAtBoundary !== (tail.length === 0)) throw new Error(`wrong about a boundary at ${edges[index]}`);
  }
  return Buffer.concat(out);
}

/** Counts the messages that lie whole within the first `length` bytes. */
function naiveCounts(stream: Buffer, length: number) {
  const counts = { messages: 0, emptyMessages: 0, outputs: 0, hasDone: false };
  for (let at = 0; at + 5 <= length; ) {
    const end = at + 5 + stream.readUInt32BE(at + 1);
    if (end > length) break;
    const tag = stream[at + 5];
    if (end - at === 5) counts.emptyMessages++;
    else {
      counts.messages++;
      if (tag !== PROGRESS) counts.outputs++;
      if (tag === DONE) counts.hasDone = true;
    }
    at = end;
  }
  return counts;
}

function countsOf({ messages, emptyMessages, outputs, hasDone }: FrameScanner) {
  return { messages, emptyMessages, outputs, hasDone };
}

const body = fc.oneof(
  fc.constant(new Uint8Array()),
  fc
    .tuple(fc.constantFrom(PROGRESS, CHUNK, DONE, 0x22), fc.uint8Array({ maxLength: 300 }))
    .map(([tag, rest]) => Uint8Array.from([tag, ...rest])),
);

const longBody = fc
  .tuple(fc.constantFrom(PROGRESS, CHUNK, DONE), fc.integer({ min: 1, max: 20_000 }))
  .map(([tag, length]) => new Uint8Array(length).fill(tag));

/** Every way to cut `length` bytes: the bits of a number say where, so 2 to the power of `length - 1` ways. */
function* everyCut(length: number): Generator<number[]> {
  const places = Array.from({ length: length - 1 }, (_, index) => index + 1);
  for (let bits = 0; bits < 2 ** places.length; bits++) yield places.filter((at) => (bits >> (at - 1)) & 1);
}

const cutStream = fc
  .array(body, { maxLength: 12 })
  .map((bodies) => Buffer.concat(bodies.map((bytes) => frame(bytes))))
  .chain((stream) =>
    fc.record({
      stream: fc.constant(stream),
      cuts: fc.array(fc.nat({ max: stream.length }), { maxLength: 8 }).map((cuts) => cuts.sort((a, b) => a - b)),
      length: fc.nat({ max: stream.length }),
    }),
  );

describe("FrameScanner", () => {
  it("passes any stream on byte for byte, however it is cut", () => {
    fc.assert(
      fc.property(cutStream, ({ stream, cuts }) => {
        const scanner = new FrameScanner();
        expect(relayed(scanner, stream, cuts).equals(stream)).toBe(true);
        expect(countsOf(scanner)).toEqual(naiveCounts(stream, stream.length));
        expect(scanner.isCompressed).toBe(false);
      }),
    );
  });

  it("passes on and counts only whole messages of a stream that ends anywhere", () => {
    fc.assert(
      fc.property(cutStream, ({ stream, cuts, length }) => {
        const scanner = new FrameScanner();
        const part = stream.subarray(0, length);
        const out = relayed(
          scanner,
          part,
          cuts.filter((cut) => cut <= length),
        );
        expect(part.subarray(0, out.length).equals(out)).toBe(true);
        expect(countsOf(scanner)).toEqual(naiveCounts(stream, length));
      }),
    );
  });

  it("gives the same result for every cut into three", () => {
    const stream = Buffer.concat([
      frame([PROGRESS, 1, 2]),
      frame([]),
      frame([CHUNK, 3]),
      frame([CHUNK]),
      frame(Buffer.alloc(300, CHUNK)),
      frame([DONE, 9]),
    ]);
    const wrong: string[] = [];
    for (let first = 0; first <= stream.length; first++) {
      for (let second = first; second <= stream.length; second++) {
        const scanner = new FrameScanner();
        scanner.push(stream.subarray(0, first));
        scanner.push(stream.subarray(first, second));
        scanner.push(stream.subarray(second));
        const { outputs, messages, emptyMessages, hasDone, isAtBoundary } = scanner;
        if (outputs !== 4 || messages !== 5 || emptyMessages !== 1 || !hasDone || !isAtBoundary) {
          wrong.push(`${first}, ${second}`);
        }
      }
    }
    expect(wrong).toEqual([]);
  });

  it("gives the same result for every cut into any number of pieces", () => {
    const stream = Buffer.concat([frame([PROGRESS]), frame([]), frame([DONE])]);
    const expected = JSON.stringify(naiveCounts(stream, stream.length));
    const wrong: (readonly number[])[] = [];
    for (const cuts of everyCut(stream.length)) {
      const scanner = new FrameScanner();
      const isEqual = relayed(scanner, stream, cuts).equals(stream);
      if (!isEqual || JSON.stringify(countsOf(scanner)) !== expected) wrong.push(cuts);
    }
    expect(wrong).toEqual([]);
  });

  it("passes long streams on byte for byte, cut into thousands of pieces", () => {
    const bodies = fc.array(fc.oneof({ weight: 9, arbitrary: body }, longBody), { minLength: 50, maxLength: 200 });
    fc.assert(
      fc.property(bodies, fc.integer(), fc.integer({ min: 2, max: 2_000 }), (parts, seed, pieceBytesMax) => {
        const stream = Buffer.concat(parts.map((bytes) => frame(bytes)));
        const rng = seededRng(seed);
        const cuts: number[] = [];
        for (let at = 0; at < stream.length; at += Math.ceil(rng.next() * pieceBytesMax)) cuts.push(at);
        const scanner = new FrameScanner();
        expect(relayed(scanner, stream, cuts).equals(stream)).toBe(true);
        expect(countsOf(scanner)).toEqual(naiveCounts(stream, stream.length));
      }),
      { numRuns: 50, seed: SEED },
    );
  });

  it("reports a set compression flag, wherever its message begins", () => {
    fc.assert(
      fc.property(fc.array(body, { maxLength: 4 }), fc.integer({ min: 1, max: 255 }), (before, flag) => {
        const scanner = new FrameScanner();
        for (const bytes of before) scanner.push(frame(bytes));
        expect(scanner.isCompressed).toBe(false);
        scanner.push(frame([CHUNK], flag).subarray(0, 1));
        expect(scanner.isCompressed).toBe(true);
      }),
    );
  });

  it("does not count a message before it is whole, so that a cut one never commits a call", () => {
    const scanner = new FrameScanner();
    const unfinished = frame([DONE, 1, 2]).subarray(0, 7);
    const whole = scanner.push(Buffer.concat([frame([PROGRESS, 1]), unfinished]));
    expect(whole).toBe(7);
    expect(countsOf(scanner)).toEqual({ messages: 1, emptyMessages: 0, outputs: 0, hasDone: false });
    scanner.push(Uint8Array.of(2));
    expect(countsOf(scanner)).toEqual({ messages: 2, emptyMessages: 0, outputs: 1, hasDone: true });
  });

  it("reads lengths above 2 GiB as what they are", () => {
    const scanner = new FrameScanner();
    expect(scanner.push(Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff, CHUNK))).toBe(0);
    expect(scanner.isAtBoundary).toBe(false);
  });
});

describe("withoutEmptyMessages", () => {
  it("drops messages of length 0 and nothing else", () => {
    fc.assert(
      fc.property(fc.array(body, { maxLength: 12 }), (bodies) => {
        const frames = Buffer.concat(bodies.map((bytes) => frame(bytes)));
        const expected = Buffer.concat(bodies.filter((bytes) => bytes.length > 0).map((bytes) => frame(bytes)));
        // A view into a larger buffer, as network reads are.
        const view = Buffer.concat([Buffer.alloc(3), frames]).subarray(3);
        expect(expected.equals(withoutEmptyMessages(view))).toBe(true);
      }),
    );
  });
});
