/**
 * Every method that a router and an agent serve, through every door: gRPC, gRPC-Web and Connect, binary and JSON, over HTTP/1.1 and
 * HTTP/2, by programs and libraries that people use. Each cell is called once well and once badly. How deadlines and cancelling
 * cross the doors is in `deadline.test.ts` and `cancel.test.ts`.
 */
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { curlDoors } from "../src/doors/curl-door.ts";
import type { Door } from "../src/doors/door.ts";
import { connectDoors, grpcJsDoor } from "../src/doors/library-doors.ts";
import {
  AGENT_METHODS,
  CHAT_MODEL,
  EMBED_MODEL,
  type MethodRow,
  ROUTER_METHODS,
  SPARE,
} from "../src/doors/methods.table.ts";
import { bufDoors, grpcurlDoor } from "../src/doors/program-doors.ts";
import { pythonDoor } from "../src/doors/python-door.ts";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { createGrpcJsCaller } from "../src/grpc-js-caller.ts";
import { describeWith } from "../src/real-programs.ts";

let ollama: SimOllama;
let agents: DroverProcess[] = [];
let router: DroverProcess;

beforeAll(async () => {
  const models = [CHAT_MODEL, EMBED_MODEL];
  ollama = await createSimOllama({ models, slots: 8, speed: 5_000, loadSeconds: 0, answerTokens: 20 });
  const start = (name: string) => startDrover("agent", ["--ollama", ollama.url, "--name", name, "--slots", "8"]);
  agents = await Promise.all([start("busy"), start(SPARE)]);
  router = await startDrover("router", ["--nodes", agents.map(({ address }) => address).join(",")]);
  const caller = createGrpcJsCaller(router.address);
  const isKnown = async (): Promise<boolean> => {
    const { nodes } = await caller.unary(RouterService.method.listNodes, {});
    return nodes.filter(({ inventory }) => inventory?.models.length === 2).length === 2;
  };
  await vi.waitUntil(isKnown, { timeout: 15_000 });
  caller.close();
});
afterAll(async () => {
  for (const program of [router, ...agents]) await program?.stop();
  await ollama?.close();
});

const PLACES: [string, () => string, readonly MethodRow[]][] = [
  ["router", () => router.address, ROUTER_METHODS],
  ["agent", () => agents[1]?.address ?? "", AGENT_METHODS],
];

/** Of each kind of method one. */
const SAMPLE = new Set(["Chat", "Embed", "ListNodes", "WatchFleet", "Attach", "ServerReflectionInfo"]);

/** All methods of both programs through one door. */
function everyMethod(door: Door, isWanted = (_: MethodRow): boolean => true): void {
  afterAll(() => door.close?.());
  describe.each(PLACES)("at the %s", (_, address, rows) => {
    it.each(rows.filter(isWanted).map((row) => [row.method.toString(), row] as const))("%s", async (_name, row) => {
      if (row.method.methodKind === "bidi_streaming" && door.bothWays !== "yes") return isRefused(door, address(), row);
      await goesWell(door, address(), row);
      await goesBadly(door, address(), row);
    });
  });
}

async function goesWell(door: Door, address: string, { method, good }: MethodRow): Promise<void> {
  if (good === undefined) return;
  const answer = await door.ask({ address, method, request: good.request, take: good.take });
  expect({ ...answer, messages: answer.messages.length > 0 }).toMatchObject({ code: "ok", messages: true });
  expect(answer.messages[0]).toMatchObject(good.first as object);
  if (good.last !== undefined) expect(answer.messages.at(-1)).toMatchObject(good.last as object);
}

async function goesBadly(door: Door, address: string, { method, bad }: MethodRow): Promise<void> {
  const isDeadlineMalformed = bad.request === "malformed deadline";
  if (isDeadlineMalformed && !door.canMalformDeadline) return;
  const request = bad.request === "malformed deadline" ? {} : bad.request;
  const { code, reason, message, messages } = await door.ask({ address, method, request, isDeadlineMalformed });
  expect({ code, reason, messages }).toEqual({ code: bad.code, reason: bad.reason, messages: [] });
  expect(decodeURIComponent(message)).toMatch(bad.says);
}

async function isRefused(door: Door, address: string, { method, good }: MethodRow): Promise<void> {
  if (door.bothWays === "refused by the library") return;
  const answer = await door.ask({ address, method, request: good?.request ?? {} });
  expect(answer).toMatchObject({ code: "unimplemented", reason: "NOT_IMPLEMENTED", messages: [] });
  expect(answer.message).toContain("HTTP/1.1 cannot carry: call it over HTTP/2");
}

describe.each([...connectDoors(), grpcJsDoor(), ...curlDoors()].map((door) => [door.name, door] as const))(
  "%s",
  (_, door) => everyMethod(door),
);

describeWith(["grpcurl"], "grpcurl", ({ grpcurl }) => everyMethod(grpcurlDoor(grpcurl)));

describeWith(["python"], "Python grpcio", ({ python }) => everyMethod(pythonDoor(python)));

// A program per call takes its time: all methods through the first of its doors, a sample through the others.
describe.each(bufDoors().map((door, index) => [door.name, door, index === 0] as const))("%s", (_, door, isFirst) =>
  everyMethod(door, ({ method }) => isFirst || SAMPLE.has(method.name)),
);
