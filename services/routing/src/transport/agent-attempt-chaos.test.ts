import { constants, type ServerHttp2Stream } from "node:http2";
import { type Rng, seededRng, systemClock } from "@drover/platform";
import { expect, it } from "vitest";
import { chunkFrame, doneFrame, frame } from "../testing/frames.ts";
import { quiet, RecordingListener, until } from "../testing/recording-listener.ts";
import { AgentAttempt } from "./agent-attempt.ts";
import { SessionPool } from "./session-pool.ts";
import { Http2Node } from "./testing/http2-node.ts";

const ATTEMPTS = 400;
const SEED = 20_261_121;

/** Answers well, or breaks in one of the ways in which nodes break, at a random moment. */
function misbehave(stream: ServerHttp2Stream, rng: Rng): void {
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(rng.next() * choices.length)] as T;
  const answer = (): void => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.once("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    for (let count = rng.next() * 5; count > 0; count--) stream.write(chunkFrame("x".repeat(rng.next() * 5_000)));
    stream.end(doneFrame());
  };
  const half = (): void => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" });
    stream.write(chunkFrame("whole"));
    stream.write(chunkFrame("cut off").subarray(0, 7));
  };
  const act = pick([
    answer,
    answer,
    () =>
      stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "14" }, { endStream: true }),
    () => stream.respond({ ":status": 503 }, { endStream: true }),
    () => stream.close(pick([constants.NGHTTP2_REFUSED_STREAM, constants.NGHTTP2_INTERNAL_ERROR, 0, 8])),
    () => stream.destroy(),
    () => stream.session?.close(),
    () => stream.session?.goaway(pick([0, 2]), 0),
    () => stream.session?.destroy(),
    () => stream.session?.socket?.destroy(),
    half,
    () => {
      half();
      setTimeout(() => stream.session?.socket?.destroy(), 1);
    },
    () => {
      half();
      setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), 1);
    },
  ]);
  // Not within the `stream` event: Node itself does not survive all of these there.
  setTimeout(() => {
    if (!stream.destroyed) act();
  }, rng.next() * 4);
}

// An error that nobody hears would end this process, so vitest fails the run for it.
it("attempts survive whatever nodes and callers do, and each of them has one end or was cancelled", async () => {
  const rng = seededRng(SEED);
  const pool = new SessionPool({ clock: systemClock, rng: seededRng(1) });
  const node = await Http2Node.open((stream) => misbehave(stream, rng));
  const attempts: { listener: RecordingListener; isCancelled: boolean; attempt: AgentAttempt }[] = [];
  for (let count = 0; count < ATTEMPTS; count++) {
    const listener = new RecordingListener();
    const request = { endpoint: node.endpoint, path: "/x", headers: {}, body: frame(Buffer.alloc(rng.next() * 9_000)) };
    const entry = { listener, isCancelled: false, attempt: new AgentAttempt(pool, request, listener) };
    attempts.push(entry);
    if (rng.next() < 0.2) setTimeout(() => entry.attempt.pause(), rng.next() * 3);
    if (rng.next() < 0.2) {
      setTimeout(() => {
        entry.isCancelled = listener.ends.length === 0;
        entry.attempt.cancel();
      }, rng.next() * 6);
    }
    if (rng.next() < 0.3) await quiet(rng.next() * 3);
  }
  await quiet(50);
  for (const { attempt } of attempts) attempt.resume();
  // Those whose node fell silent half-way end with their connection.
  node.killSockets();
  await until(() => attempts.every(({ listener, isCancelled }) => isCancelled || listener.ends.length > 0));
  await quiet();
  for (const { listener, isCancelled } of attempts)
    expect(listener.ends.length, `seed ${SEED}`).toBe(isCancelled ? 0 : 1);
  pool.destroy();
  await node.close();
});
