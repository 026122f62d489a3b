import { request } from "node:http";
import { connect } from "node:net";
import {
  createSimOllama,
  type Fault,
  type RequestRecord,
  type SimOllama,
  type SimOllamaOptions,
} from "@drover/sim-ollama";
import { afterEach, describe, expect, test } from "vitest";
import { type Answer, type Json, openCall, post, send } from "../src/ollama-http.ts";

let sim: SimOllama;

async function start(faults: readonly Fault[] = [], options: Partial<SimOllamaOptions> = {}): Promise<void> {
  sim = await createSimOllama({ models: ["m", "n"], speed: 500, loadSeconds: 0, answerTokens: 6, faults, ...options });
}

afterEach(() => sim.close());

const chat = { model: "m", messages: [{ role: "user", content: "hi" }], options: { temperature: 0 } };
const ask = (): Promise<Answer> => post(sim.url, "/api/chat", chat);
const open = (body: object = chat) => openCall(sim.url, "/api/chat", { method: "POST", body });
const lastRecord = (): RequestRecord | undefined => sim.requests().at(-1);
const loaded = async (): Promise<unknown[]> => (await send(sim.url, "/api/ps")).json()["models"] as unknown[];

describe("answers that go wrong", () => {
  test.each([
    [503, undefined, "server busy, please try again.  maximum pending requests exceeded"],
    [404, undefined, "model 'm' not found"],
    [500, undefined, expect.stringMatching(/^model runner has unexpectedly stopped/)],
    [400, "words of a test", "words of a test"],
  ])("status %i", async (status, message, words) => {
    await start([{ kind: "status", status, ...(message === undefined ? {} : { message }), times: 1 }]);
    const answer = await ask();
    expect([answer.status, answer.json()["error"]]).toEqual([status, words]);
    expect(lastRecord()?.end).toMatchObject({ how: "fault", status });
    expect((await ask()).status).toBe(200);
  });

  test("a cut in mid-stream resets the socket after so many chunks", async () => {
    await start([{ kind: "cut", afterChunks: 3 }]);
    const answer = await ask();
    expect([answer.lines().length, answer.isComplete]).toEqual([3, false]);
    expect(lastRecord()?.end).toMatchObject({ how: "fault", phase: "decode" });
  });

  test("a cut before the first chunk leaves no answer at all", async () => {
    await start([{ kind: "cut" }]);
    await expect(ask()).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  test("an error is a line after chunks, and a status before them", async () => {
    await start([
      { kind: "stream-error", afterChunks: 2, times: 1 },
      { kind: "stream-error", afterChunks: 0, message: "no luck", skip: 1 },
    ]);
    const late = await ask();
    expect([late.status, late.isComplete, late.lines().length]).toEqual([200, true, 3]);
    expect(late.lines().at(-1)).toEqual({ error: "an error was encountered while running the model: unexpected EOF" });
    const early = await ask();
    expect([early.status, early.json()]).toEqual([500, { error: "no luck" }]);
  });

  test("an end without done is a proper end; without chunks an empty 200", async () => {
    await start([
      { kind: "end-without-done", afterChunks: 4, times: 1 },
      { kind: "end-without-done", skip: 1 },
    ]);
    const late = await ask();
    expect([late.isComplete, late.lines().length, late.lines().at(-1)?.["done"]]).toEqual([true, 4, false]);
    const empty = await ask();
    expect([empty.status, empty.isComplete, empty.text]).toEqual([200, true, ""]);
    const whole = await post(sim.url, "/api/chat", { ...chat, stream: false });
    expect(whole.json()).toMatchObject({ model: "", message: { role: "", content: "" }, done: false });
  });

  test("a hang sends nothing more, and holds its slot until the caller leaves", async () => {
    await start([{ kind: "hang", afterChunks: 2, times: 1 }]);
    const hanging = open();
    await hanging.linesReceived(2);
    const next = open();
    await pause(150);
    expect(next.hasHeaders()).toBe(false);
    hanging.destroy();
    expect((await next.answer).lines().at(-1)?.["done"]).toBe(true);
    expect(sim.requests()[0]?.end).toMatchObject({ how: "client-closed", phase: "decode" });
  });

  test("a hang before the first token sends not even headers", async () => {
    await start([{ kind: "hang" }]);
    const hanging = open();
    await pause(150);
    expect(hanging.hasHeaders()).toBe(false);
    hanging.destroy();
  });

  test("a slow first token is slow, and the tokens after it are not", async () => {
    await start([{ kind: "slow-first-token", delayMs: 300 }]);
    const answer = await ask();
    expect(answer.headersAfterMs).toBeGreaterThanOrEqual(299);
    expect(answer.endAfterMs - answer.headersAfterMs).toBeLessThan(200);
    expect(Number(answer.lines().at(-1)?.["prompt_eval_duration"]) / 1e6).toBeGreaterThanOrEqual(300);
  });

  test("a slow first token outlives its caller like any prefill", async () => {
    await start([{ kind: "slow-first-token", delayMs: 500, times: 1 }]);
    const left = open();
    await pause(100);
    left.destroy();
    const next = await ask();
    expect(next.headersAfterMs).toBeGreaterThan(300);
    expect(sim.requests()[0]?.end).toMatchObject({ how: "client-closed", phase: "prefill" });
  });

  test("one word over and over is ended after 31 equal chunks without done", async () => {
    await start([{ kind: "repeat" }]);
    const answer = await ask();
    expect([answer.isComplete, answer.lines().length, answer.lines().at(-1)?.["done"]]).toEqual([true, 31, false]);
  });

  test("embed breaks too", async () => {
    await start([
      { kind: "runner-crash", times: 1 },
      { kind: "end-without-done", skip: 1, times: 1 },
      { kind: "cut", skip: 2 },
    ]);
    const embed = (): Promise<Answer> => post(sim.url, "/api/embed", { model: "m", input: "x" });
    const crashed = await embed();
    expect([crashed.status, crashed.json()["error"]]).toEqual([
      400,
      expect.stringMatching(/^do embedding request: .*EOF$/),
    ]);
    expect([(await embed()).text]).toEqual([""]);
    await expect(embed()).rejects.toMatchObject({ code: "ECONNRESET" });
  });
});

describe("processes that die", () => {
  test("a dead runner ends every answer of its model as Ollama ends it, and no other's", async () => {
    await start([], { slots: 2, answerTokens: 200 });
    const other = open({ ...chat, model: "n" });
    const bystander = open();
    await bystander.linesReceived(1);
    sim.setFaults([{ kind: "runner-crash", afterChunks: 3, model: "m", times: 1 }]);
    const crashing = await ask();
    const words = { error: "an error was encountered while running the model: unexpected EOF" };
    expect(crashing.lines().at(-1)).toEqual(words);
    expect((await bystander.answer).lines().at(-1)).toEqual(words);
    expect((await other.answer).lines().at(-1)).toMatchObject({ done: true });
    expect((await ask()).lines().at(-1)).toMatchObject({ done: true });
  });

  test("a crash of Ollama resets every socket and nothing is loaded after it", async () => {
    await start([{ kind: "crash", afterChunks: 3, model: "m" }], { answerTokens: 200 });
    const other = open({ ...chat, model: "n" });
    await other.linesReceived(1);
    const crashing = await ask();
    expect(crashing.isComplete).toBe(false);
    expect((await other.answer).isComplete).toBe(false);
    expect(await loaded()).toEqual([]);
    expect(
      sim
        .requests()
        .filter((record) => record.path === "/api/chat")
        .map((record) => record.end?.how),
    ).toEqual(["fault", "fault"]);
  });

  test("POST /sim/crash kills a runner or everything while requests run", async () => {
    await start([], { answerTokens: 200 });
    const running = open();
    await running.linesReceived(1);
    await post(sim.url, "/sim/crash", { model: "m" });
    expect((await running.answer).lines().at(-1)).toHaveProperty("error");
    await ask();
    expect(await loaded()).toHaveLength(1);
    await expect(post(sim.url, "/sim/crash", "")).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(await loaded()).toEqual([]);
  });

  test("a load that fails says why", async () => {
    await start([{ kind: "load-failure", times: 1 }]);
    const failed = await ask();
    expect([failed.status, failed.json()["error"]]).toEqual([
      500,
      expect.stringMatching(/^model requires more system memory/),
    ]);
    expect((await ask()).status).toBe(200);
  });
});

describe("bytes on the wire", () => {
  /** What each read of a plain socket gave, so that segments can be seen. */
  async function segments(): Promise<Buffer[]> {
    const body = JSON.stringify({ ...chat, options: { temperature: 0 } });
    const seen: Buffer[] = [];
    const [host, port] = sim.address.split(":");
    const socket = connect({ host: host ?? "", port: Number(port) });
    socket.write(
      `POST /api/chat HTTP/1.1\r\nHost: x.localhost\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    for await (const part of socket) seen.push(part as Buffer);
    return seen;
  }

  test("lines split in two arrive in two segments, inside a character where there is a wide one", async () => {
    await start([{ kind: "split-lines", gapMs: 20 }], { answerTokens: 40, seed: 3 });
    const seen = await segments();
    expect(seen.length).toBeGreaterThan(40);
    expect(seen.some((part) => part.toString().includes("\ufffd"))).toBe(true);
    const { text } = await ask();
    expect(text).toMatch(/[^\x20-\x7e\n]/);
    expect(text).not.toContain("\ufffd");
  });

  test("joined lines arrive together", async () => {
    await start([{ kind: "joined-lines", lines: 4 }]);
    const answers = (await segments())
      .map((part) => part.toString().split('"done"').length - 1)
      .filter((count) => count > 0);
    expect(answers).toEqual([4, 3]);
  });

  test("a huge line is one line", async () => {
    await start([{ kind: "huge-line", bytes: 3_000_000 }]);
    const answer = await ask();
    expect(answer.lines()).toHaveLength(7);
    expect(answer.text.indexOf("\n")).toBeGreaterThan(3_000_000);
  });

  test("a reader who does not read holds up the writer without end of memory", async () => {
    await start([{ kind: "huge-line", bytes: 30_000_000 }], { answerTokens: 50 });
    const body = JSON.stringify(chat);
    const call = request(`${sim.url}/api/chat`, {
      method: "POST",
      agent: false,
      headers: { "content-length": body.length },
    });
    call.end(body);
    const response = await new Promise<NodeJS.ReadableStream & { destroy(): void }>((resolve) =>
      call.once("response", resolve),
    );
    response.pause();
    await pause(300);
    expect(lastRecord()?.chunks).toBe(1);
    response.destroy();
    await eventually(() => expect(lastRecord()?.end?.how).toBe("client-closed"));
  });
});

describe("scripting while it runs", () => {
  test("faults are put, listed and deleted over HTTP", async () => {
    await start();
    const put = await send(sim.url, "/sim/faults", {
      method: "PUT",
      body: { faults: [{ kind: "status", status: 503, times: 1 }] },
    });
    expect(put.json()["faults"]).toMatchObject([{ kind: "status", status: 503, times: 1, skip: 0 }]);
    expect((await ask()).status).toBe(503);
    expect((await send(sim.url, "/sim/faults")).json()).toEqual({ faults: [] });
    await send(sim.url, "/sim/faults", { method: "PUT", body: { faults: [{ kind: "hang" }] } });
    await send(sim.url, "/sim/faults", { method: "DELETE" });
    expect((await ask()).status).toBe(200);
  });

  test("what is no fault is refused, and what was there stays", async () => {
    await start([{ kind: "status", status: 503 }]);
    const put = await send(sim.url, "/sim/faults", { method: "PUT", body: { faults: [{ kind: "nonsense" }] } });
    expect([put.status, put.json()["error"]]).toEqual([400, expect.stringContaining("not a list of faults")]);
    expect((await ask()).status).toBe(503);
  });

  test("a slow ps is slow, other routes are not", async () => {
    await start([{ kind: "delay", endpoint: "ps", delayMs: 300 }]);
    const [ps, tags] = await Promise.all([send(sim.url, "/api/ps"), send(sim.url, "/api/tags")]);
    expect([ps.endAfterMs > 290, tags.endAfterMs < 200]).toEqual([true, true]);
  });

  test("listing routes may break as well", async () => {
    await start([
      { kind: "cut", endpoint: "tags" },
      { kind: "status", status: 500, endpoint: "root" },
    ]);
    await expect(send(sim.url, "/api/tags")).rejects.toMatchObject({ code: "ECONNRESET" });
    expect((await send(sim.url, "/", { method: "HEAD" })).status).toBe(500);
  });

  test("the log tells what came in and how it ended", async () => {
    await start();
    await ask();
    const { requests } = (await send(sim.url, "/sim/requests")).json() as { requests: Json[] };
    expect(requests).toHaveLength(1);
    expect(requests[0]).toMatchObject({
      method: "POST",
      path: "/api/chat",
      body: chat,
      headers: { host: sim.address },
      phase: "decode",
      chunks: 7,
      end: { how: "completed", status: 200, phase: "decode" },
    });
    await send(sim.url, "/sim/requests", { method: "DELETE" });
    expect(sim.requests()).toEqual([]);
  });

  test.each([
    ["loading", { loadSeconds: 5 }],
    ["prefill", { prefillSpeed: 1 }],
    ["decode", { speed: 1 }],
  ] as const)("one who leaves while it is %s is logged as such", async (phase, options) => {
    await start([], options);
    const leaving = open();
    await eventually(() => expect(lastRecord()?.phase).toBe(phase));
    leaving.destroy();
    await eventually(() => expect(lastRecord()?.end).toMatchObject({ how: "client-closed", phase }));
  });

  test("one who leaves the queue is logged as such", async () => {
    await start([{ kind: "hang", times: 1 }]);
    const hanging = open();
    await eventually(() => expect(lastRecord()?.phase).toBe("decode"));
    const leaving = open();
    await eventually(() => expect(lastRecord()?.phase).toBe("queued"));
    leaving.destroy();
    await eventually(() => expect(lastRecord()?.end).toMatchObject({ how: "client-closed", phase: "queued" }));
    hanging.destroy();
  });
});

describe("models with more gifts", () => {
  test("a thinking model thinks first, and not when told not to", async () => {
    await start([], { models: ["think"], answerTokens: 0 });
    const body = { ...chat, model: "think" };
    const lines = (await post(sim.url, "/api/chat", body)).lines();
    const messages = lines.map((line) => line["message"] as { content: string; thinking?: string });
    expect(messages[0]).toEqual({ role: "assistant", content: "", thinking: expect.any(String) });
    expect(messages.map((message) => message.content + (message.thinking ?? "")).join("")).not.toContain("think>");
    const silent = (await post(sim.url, "/api/chat", { ...body, think: false, stream: false })).json()["message"];
    expect(Object.keys(silent as Json)).toEqual(["role", "content"]);
  });

  test("the same prompt gives the same text on every node with the same seed, and goes on anywhere", async () => {
    await start([], { answerTokens: 30 });
    const pieces = (await ask()).lines().map((line) => (line["message"] as Json)["content"]);
    const other = await createSimOllama({ models: ["m"], loadSeconds: 0, speed: 500, answerTokens: 30 });
    const rendered = (await post(other.url, "/api/chat", { ...chat, _debug_render_only: true })).json()[
      "_debug_info"
    ] as Json;
    const prompt = String(rendered["rendered_template"]) + pieces.slice(0, 11).join("");
    const rest = { model: "m", prompt, raw: true, stream: false, options: { temperature: 0 } };
    const answer = (await post(other.url, "/api/generate", rest)).json();
    await other.close();
    expect(answer["response"]).toBe(pieces.slice(11).join(""));
  });

  test("a tool is called when the last message names it, once", async () => {
    await start();
    const tools = [
      { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {} } } },
    ];
    const body = { ...chat, stream: false, tools };
    const call = (
      await post(sim.url, "/api/chat", { ...body, messages: [{ role: "user", content: "get_time please" }] })
    ).json();
    expect(call["message"]).toMatchObject({ tool_calls: [{ function: { name: "get_time", arguments: {} } }] });
    const messages = [
      { role: "user", content: "get_time please" },
      call["message"],
      { role: "tool", content: "12:00" },
    ];
    const after = (await post(sim.url, "/api/chat", { ...body, messages })).json();
    expect(after["message"]).not.toHaveProperty("tool_calls");
  });
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function eventually(check: () => void): Promise<void> {
  const endMs = performance.now() + 3000;
  for (;;) {
    try {
      return check();
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await pause(10);
    }
  }
}
