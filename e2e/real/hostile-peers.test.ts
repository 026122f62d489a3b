/**
 * Peers that mean harm, against a router and an agent as they are started: floods, broken frames, garbage, half of something and
 * then silence, and readers that do not read. After each the process serves, soon, with its memory, and without an error in its log.
 */

import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller } from "../src/grpc-js-caller.ts";
import * as h2 from "../src/raw-http2.ts";
import { ERROR, FLAG, RawHttp2, TYPE } from "../src/raw-http2.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

const { chat } = InferenceService.method;
const MODEL = "llama3.2:1b";
const CHAT = `/${InferenceService.typeName}/Chat`;
const LIST_NODES = `/${RouterService.typeName}/ListNodes`;
/** What a process may have after all of it: started it has 130 MB, and V8 keeps some of what it once needed. */
const RSS_LIMIT_MB = 450;
/** An event loop that answers later than this was blocked; generous, because tests share their machine. */
const BLOCKED_LIMIT_MS = 3_000;

let ollama: SimOllamaProcess;
const running = new Map<"router" | "agent", DroverProcess>();
const raws: { destroy(): void }[] = [];

beforeAll(async () => {
  ollama = await startSimOllama(["--models", MODEL, "--speed", "2000", "--load-seconds", "0", "--answer-tokens", "20"]);
  const agent = await startDrover("agent", ["--ollama", ollama.url, "--slots", "4"]);
  const router = await startDrover("router", ["--nodes", agent.address]);
  running.set("agent", agent).set("router", router);
  await vi.waitUntil(() => serves(router), { timeout: 10_000 });
});
afterAll(async () => {
  const codes = await Promise.all([...running.values()].map((program) => program.stop()));
  await ollama.close();
  expect(codes).toEqual([0, 0]);
});
beforeEach(({ onTestFailed }) => {
  onTestFailed(() => {
    for (const [name, { log }] of running) process.stderr.write(`${name} said:\n${log().slice(-3_000)}\n`);
  });
});

function processOf(name: "router" | "agent"): DroverProcess {
  const found = running.get(name);
  if (found === undefined) throw new Error(`no ${name} runs`);
  return found;
}

async function serves({ address }: DroverProcess): Promise<boolean> {
  const grpc = createGrpcJsCaller(address);
  const { error } = await grpc.stream(chat, { model: MODEL, messages: [{ role: "user", content: "hi" }] });
  grpc.close();
  return error === undefined;
}

function rssMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;
}

async function isUnhurt(program: DroverProcess): Promise<void> {
  const startMs = performance.now();
  expect((await fetch(`http://${program.opsAddress}/healthz`)).status).toBe(200);
  expect(performance.now() - startMs).toBeLessThan(BLOCKED_LIMIT_MS);
  expect(await serves(program)).toBe(true);
  expect(rssMb(program.pid)).toBeLessThan(RSS_LIMIT_MB);
  expect(program.log()).not.toMatch(/"level":"(error|fatal)"|uncaught|unhandled|\n {4}at /i);
}

function open(address: string, first?: Buffer): Promise<RawHttp2> {
  return RawHttp2.open(address, first).then((raw) => {
    raws.push(raw);
    return raw;
  });
}

type Attack = (raw: RawHttp2) => Promise<void>;
const ping = h2.frame(TYPE.ping, 0, 0, Buffer.alloc(8));
const reset = (streamId: number): Buffer => h2.frame(TYPE.rstStream, 0, streamId, h2.uint32(ERROR.cancel));
const headersWithoutEnd = h2.frame(TYPE.headers, 0, 1, h2.headerBlock(h2.grpcFields(CHAT)));
const unread =
  (attack: Attack): Attack =>
  (raw) => {
    raw.socket.pause();
    return attack(raw);
  };

/** Ended by Node's own HTTP/2 or by the limits of the listener: the connection is closed before the flood is over. */
const FLOODS: [string, Attack][] = [
  ["SETTINGS", (raw) => raw.flood(100_000, () => h2.settings([3, 100]))],
  ["SETTINGS whose answers are not read", unread((raw) => raw.flood(1_000_000, () => h2.settings()))],
  ["PING", (raw) => raw.flood(1_000_000, () => ping)],
  ["PING whose answers are not read", unread((raw) => raw.flood(1_000_000, () => ping))],
  [
    "CONTINUATION",
    async (raw) => {
      await raw.send(headersWithoutEnd);
      await raw.flood(100_000, () => h2.frame(TYPE.continuation, 0, 1, h2.headerBlock([["x", "y".repeat(100)]])));
    },
  ],
  [
    "empty CONTINUATION",
    async (raw) => {
      await raw.send(headersWithoutEnd);
      await raw.flood(100_000, () => h2.frame(TYPE.continuation, 0, 1));
    },
  ],
  [
    "empty DATA",
    async (raw) => {
      await raw.send(h2.openStream(1, h2.grpcFields(CHAT)));
      await raw.flood(200_000, () => h2.frame(TYPE.data, 0, 1));
    },
  ],
  [
    "streams of the relay or the agent that are reset at once",
    (raw) => raw.flood(60_000, (i) => Buffer.concat([h2.openStream(2 * i + 1, h2.grpcFields(CHAT)), reset(2 * i + 1)])),
  ],
  [
    "streams of connect that are reset at once",
    (raw) =>
      raw.flood(60_000, (i) => Buffer.concat([h2.openStream(2 * i + 1, h2.grpcFields(LIST_NODES)), reset(2 * i + 1)])),
  ],
  ["streams without a path", (raw) => raw.flood(20_000, (i) => h2.openStream(2 * i + 1, [[":method", "POST"]], 1))],
  [
    "streams beyond those that are allowed",
    (raw) => raw.flood(50_000, (i) => h2.openStream(2 * i + 1, h2.grpcFields(CHAT))),
  ],
];

/** Costs nothing but reading it; whether the connection outlives it is no matter. */
const NOISE: [string, Attack][] = [
  ["WINDOW_UPDATE", (raw) => raw.flood(100_000, () => h2.frame(TYPE.windowUpdate, 0, 0, h2.uint32(1)))],
  [
    "PRIORITY",
    (raw) =>
      raw.flood(100_000, (i) =>
        h2.frame(TYPE.priority, 0, 2 * (i % 50_000) + 1, Buffer.concat([h2.uint32(0), Buffer.of(1)])),
      ),
  ],
  ["frames of no known type", (raw) => raw.flood(100_000, () => h2.frame(0xfa, 0, 0, Buffer.alloc(10)))],
  ["GOAWAY", (raw) => raw.flood(50_000, () => h2.frame(TYPE.goAway, 0, 0, h2.uint32(0, 0)))],
  ["a header without a name", (raw) => raw.send(h2.openStream(1, h2.grpcFields(CHAT, [["", ""]])))],
  [
    "a stream that depends on itself",
    (raw) => raw.send(h2.frame(TYPE.priority, 0, 3, Buffer.concat([h2.uint32(3), Buffer.of(1)]))),
  ],
];

/** Answered with GOAWAY and this code. */
const BROKEN: [string, number, Buffer][] = [
  ["a window that overflows", 3, Buffer.concat([1, 2].map(() => h2.frame(8, 0, 0, h2.uint32(0x7fffffff))))],
  ["a window that grows by nothing", 1, h2.frame(TYPE.windowUpdate, 0, 0, h2.uint32(0))],
  ["a window setting out of range", 3, h2.settings([4, 0xffffffff])],
  ["a reset of a stream that is not there", 1, reset(9)],
  ["DATA on the connection itself", 1, h2.frame(TYPE.data, 0, 0, Buffer.alloc(10))],
  ["a frame that is too long", 6, h2.frame(TYPE.data, 0, 1, Buffer.alloc(20_000))],
  ["a header block that is no HPACK", 9, h2.frame(TYPE.headers, FLAG.endHeaders, 1, Buffer.alloc(100, 0xff))],
  ["a pushed stream", 1, h2.frame(TYPE.pushPromise, 4, 1, h2.uint32(2))],
];

const GARBAGE: [string, Buffer][] = [
  ["a TLS hello", Buffer.from("16030100f8010000f40303", "hex")],
  ["HTTP/1.0", Buffer.from("GET / HTTP/1.0\r\n\r\n")],
  ["half of the preface", h2.PREFACE.subarray(0, 12)],
  ["the preface and half a frame", Buffer.concat([h2.PREFACE, h2.settings([3, 1]).subarray(0, 7)])],
  ["HEADERS that never end", Buffer.concat([h2.PREFACE, h2.settings(), headersWithoutEnd])],
  [
    "a chunked request with a chunk that is none",
    Buffer.from("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
  ],
  [
    "two lengths",
    Buffer.from("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
  ],
];

describe.each(["router", "agent"] as const)("a %s", (name) => {
  afterEach(async () => {
    for (const raw of raws.splice(0)) raw.destroy();
    await isUnhurt(processOf(name));
  });

  it.each(FLOODS)("closes a connection that floods it with %s", async (_, attack) => {
    const raw = await open(processOf(name).address);
    await attack(raw);
    raw.socket.resume();
    await vi.waitUntil(() => raw.isClosed, { timeout: 5_000 });
  });

  it.each(NOISE)("is not held up by %s", async (_, attack) => {
    await attack(await open(processOf(name).address));
  });

  it.each(BROKEN)("refuses %s", async (_, code, bytes) => {
    const raw = await open(processOf(name).address);
    await raw.send(bytes);
    await vi.waitUntil(() => raw.isClosed, { timeout: 5_000 });
    expect(raw.goAwayCode).toBe(code);
  });

  it("refuses further streams than 1,000 at once, and serves on the same connection when they are gone", async () => {
    const raw = await open(processOf(name).address);
    await raw.flood(1_050, (i) => h2.openStream(2 * i + 1, h2.grpcFields(CHAT)));
    await vi.waitUntil(() => raw.frames.some(({ streamId }) => streamId === 2_099), { timeout: 5_000 });
    const refused = raw.frames.filter(({ type }) => type === TYPE.rstStream);
    expect(refused).toHaveLength(50);
    expect(refused[0]?.payload.readUInt32BE(0)).toBe(ERROR.refused);
    await raw.flood(1_000, (i) => reset(2 * i + 1));
    await raw.send(h2.openStream(3_001, h2.grpcFields("/none/none"), FLAG.endStream));
    await vi.waitUntil(() => raw.ofStream(3_001).some(({ type }) => type === TYPE.headers), { timeout: 5_000 });
  });

  it.each([
    ["fields", Array.from({ length: 129 }, (_, i): [string, string] => [`x${i}`, "y"])],
    [
      "bytes, although the peer never acknowledged our settings",
      Array.from({ length: 7 }, (_, i): [string, string] => [`x${i}`, "y".repeat(10_000)]),
    ],
  ])("resets a stream with a header of too many %s, and only that", async (_, more) => {
    const raw = await open(processOf(name).address);
    const block = h2.headerBlock(h2.grpcFields(CHAT, more));
    for (let at = 0; at < block.length; at += 16_000) {
      const isLast = at + 16_000 >= block.length;
      await raw.send(
        h2.frame(
          at === 0 ? TYPE.headers : TYPE.continuation,
          isLast ? FLAG.endHeaders : 0,
          1,
          block.subarray(at, at + 16_000),
        ),
      );
    }
    await raw.send(h2.openStream(3, h2.grpcFields("/none/none"), FLAG.endStream));
    await vi.waitUntil(() => raw.ofStream(3).length > 0, { timeout: 5_000 });
    expect(raw.ofStream(1)).toMatchObject([{ type: TYPE.rstStream, payload: h2.uint32(ERROR.enhanceYourCalm) }]);
  });

  it("outlives garbage, and what begins well and then says nothing", async () => {
    const [host, port] = processOf(name).address.split(":");
    for (const [, bytes] of GARBAGE) {
      const socket = net.connect(Number(port), host);
      raws.push(socket);
      socket.on("error", () => undefined).write(bytes);
    }
    await sleep(200);
  });

  it.runIf(name === "router")("gives no more than 2,500 connections to one address", async () => {
    const [host, port] = processOf(name).address.split(":");
    let closed = 0;
    for (let opened = 0; opened < 2_600; opened += 100) {
      const sockets = Array.from({ length: 100 }, () =>
        net.connect({ port: Number(port), host: host ?? "", localAddress: "127.0.0.9" }),
      );
      for (const socket of sockets) {
        raws.push(socket);
        socket
          .on("error", () => undefined)
          .on("close", () => closed++)
          .resume();
      }
      // More at once than the listener's backlog holds are tried again by the kernel, seconds later.
      await Promise.all(sockets.map((socket) => once(socket, "connect")));
    }
    await vi.waitUntil(() => closed >= 100, { timeout: 20_000 });
    expect(closed).toBe(100);
  });

  it("outlives frames in any order", async () => {
    // Seeded, so that a failure can be seen again.
    let state = name === "router" ? 20_241_121 : 4_711;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return (state >>> 8) % below;
    };
    const any = (): Buffer => {
      const type = random(11);
      const payload = Buffer.from(Array.from({ length: random(40) }, () => random(256)));
      const streamId = random(12);
      if (type === 10)
        return h2.openStream(2 * random(20) + 1, h2.grpcFields(random(2) === 0 ? CHAT : LIST_NODES), random(2));
      const isPlausible = random(3) > 0;
      if (isPlausible && type === TYPE.settings) return h2.settings([1 + random(6), random(70_000)]);
      if (isPlausible && type === TYPE.windowUpdate) return h2.frame(type, 0, streamId, h2.uint32(1 + random(1_000)));
      if (isPlausible && type === TYPE.rstStream) return h2.frame(type, 0, streamId, h2.uint32(random(14)));
      if (isPlausible && type === TYPE.ping) return ping;
      return h2.frame(type, random(64), streamId, payload);
    };
    for (let round = 0; round < 200; round++) {
      const raw = await open(processOf(name).address);
      await raw.send(...Array.from({ length: 1 + random(60) }, any));
      if (random(3) === 0) raw.socket.resetAndDestroy();
    }
  }, 20_000);
});
