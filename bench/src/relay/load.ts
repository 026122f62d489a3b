/**
 * A caller that costs little: many streams over a few connections, bytes counted and dropped, the time of the first ones kept.
 */
import http2, { type ClientHttp2Session } from "node:http2";
import { CHAT_PATH, REQUEST_FRAME } from "./frames.ts";

export interface Load {
  readonly address: string;
  readonly streams: number;
  readonly atOnce: number;
  readonly chunks: number;
  /** Time between two messages of a stream; 0: all at once. */
  readonly paceMs: number;
}

export interface LoadResult {
  /** From request to first bytes, in ms, one for each stream. */
  readonly firstBytesMs: readonly number[];
  readonly wallMs: number;
  readonly failed: number;
}

const CONNECTIONS = 4;

export async function runLoad(load: Load): Promise<LoadResult> {
  const sessions = await Promise.all(Array.from({ length: CONNECTIONS }, () => connected(load.address)));
  const firstBytesMs: number[] = [];
  let started = 0;
  let failed = 0;
  const worker = async (session: ClientHttp2Session): Promise<void> => {
    while (started < load.streams) {
      started++;
      const firstMs = await oneStream(session, load);
      if (firstMs === undefined) failed++;
      else firstBytesMs.push(firstMs);
    }
  };
  const begin = performance.now();
  await Promise.all(
    Array.from({ length: load.atOnce }, async (_, index) => {
      // Paced streams begin evenly spread: a burst of all of them would measure the burst.
      await new Promise((resolve) => setTimeout(resolve, (index * load.chunks * load.paceMs) / load.atOnce));
      const session = sessions[index % sessions.length];
      if (session !== undefined) await worker(session);
    }),
  );
  const wallMs = performance.now() - begin;
  for (const session of sessions) session.close();
  return { firstBytesMs, wallMs, failed };
}

function connected(address: string): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://${address}`);
    session.once("remoteSettings", () => resolve(session));
    session.once("error", reject);
  });
}

/** The time to the first bytes; undefined when the stream did not end with status OK. */
function oneStream(session: ClientHttp2Session, load: Load): Promise<number | undefined> {
  return new Promise((resolve) => {
    const begin = performance.now();
    let firstMs: number | undefined;
    let status: unknown;
    const stream = session.request({
      ":method": "POST",
      ":path": CHAT_PATH,
      "content-type": "application/grpc",
      te: "trailers",
      "bench-chunks": String(load.chunks),
      "bench-pace-ms": String(load.paceMs),
    });
    stream.on("data", () => {
      firstMs ??= performance.now() - begin;
    });
    stream.on("trailers", (trailers) => {
      status = trailers["grpc-status"];
    });
    stream.on("error", () => undefined);
    stream.on("close", () => resolve(status === "0" ? firstMs : undefined));
    stream.end(REQUEST_FRAME);
  });
}
