/**
 * The dispatch's side of an attempt, for tests of transports: writes down what is reported and checks the contract.
 */
import { Buffer } from "node:buffer";
import { type Clock, sleep, systemClock } from "@drover/platform";
import type { AttemptEnd, AttemptListener, FramesSeen } from "../transport/attempt.ts";

export class RecordingListener implements AttemptListener {
  readonly pieces: Uint8Array[] = [];
  readonly ends: AttemptEnd[] = [];
  seen: FramesSeen = { messages: 0, outputs: 0, hasDone: false };
  /** Resolves with the attempt's end. */
  readonly ended: Promise<AttemptEnd>;
  #resolve: (end: AttemptEnd) => void = () => undefined;

  constructor() {
    this.ended = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  onMessages(bytes: Uint8Array, seen: FramesSeen): void {
    if (this.ends.length > 0) throw new Error("messages came after the end");
    if (!isWhole(bytes)) throw new Error("a piece does not consist of whole messages");
    this.pieces.push(bytes);
    this.seen = { messages: seen.messages, outputs: seen.outputs, hasDone: seen.hasDone };
  }

  onEnd(end: AttemptEnd): void {
    this.ends.push(end);
    this.#resolve(end);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.pieces);
  }

  /** "OK", a gRPC status as "status 5", or the kind of what broke. */
  async outcome(): Promise<string> {
    const end = await this.ended;
    if (end.kind === "broken") return end.error.kind;
    const status = String(end.trailers["grpc-status"]);
    return status === "0" ? "OK" : `status ${status}`;
  }
}

function isWhole(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  while (at + 5 < bytes.length) {
    const length = view.getUint32(at + 1);
    if (length === 0) return false;
    at += 5 + length;
  }
  return at === bytes.length;
}

/** Waits until `isTrue`, looking every few milliseconds; the test's own timeout bounds it. */
export async function until(isTrue: () => boolean, clock: Clock = systemClock): Promise<void> {
  while (!isTrue()) await sleep(clock, 2);
}

/** Lets what is under way on the loopback arrive, for checks that nothing happens. */
export function quiet(ms = 30): Promise<void> {
  return sleep(systemClock, ms);
}
