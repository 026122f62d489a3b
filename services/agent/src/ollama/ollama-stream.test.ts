import { DroverError, SimClock } from "@drover/platform";
import { beforeEach, describe, expect, test } from "vitest";
import type { OllamaOpener, OllamaResponse } from "./ollama-client.ts";
import { OllamaStream, type StreamLimits } from "./ollama-stream.ts";

const LIMITS: StreamLimits = {
  firstTokenTimeoutMs: 300_000,
  stallTimeoutMs: 60_000,
  callerStallTimeoutMs: 30_000,
  readAheadBytes: 1_000,
  lineLimitBytes: 10_000,
};

/** A body that a test feeds; it knows how many chunks were taken, and whether its socket was destroyed. */
class Body implements AsyncIterable<Uint8Array> {
  readonly #chunks: (Uint8Array | Error | undefined)[] = [];
  #wake: (() => void) | undefined;
  taken = 0;
  isDestroyed = false;

  send(text: string): void {
    this.#add(Buffer.from(text));
  }
  line(object: unknown): void {
    this.send(`${JSON.stringify(object)}\n`);
  }
  end(): void {
    this.#add(undefined);
  }
  break(error: Error): void {
    this.#add(error);
  }
  #add(chunk: Uint8Array | Error | undefined): void {
    this.#chunks.push(chunk);
    this.#wake?.();
  }
  #added(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      while (true) {
        while (this.#chunks.length === 0) await this.#added();
        const chunk = this.#chunks.shift();
        if (chunk === undefined) return;
        if (chunk instanceof Error) throw chunk;
        this.taken++;
        yield chunk;
      }
    } finally {
      this.isDestroyed = true;
    }
  }
}

const chunkOf = (content: string) => ({ model: "m", message: { role: "assistant", content }, done: false });
const DONE = { model: "m", message: { role: "assistant", content: "" }, done: true, done_reason: "stop" };

describe("a stream of Ollama", () => {
  let clock: SimClock;
  let body: Body;
  let respond: (response: OllamaResponse | Error) => void;
  let signal: AbortSignal | undefined;

  function start(limits: Partial<StreamLimits> = {}): OllamaStream {
    const { promise, resolve, reject } = Promise.withResolvers<OllamaResponse>();
    respond = (response) => (response instanceof Error ? reject(response) : resolve(response));
    const client: OllamaOpener = {
      open: (request) => {
        signal = request.signal;
        // As undici: an abort destroys the socket, and whoever reads gets the reason.
        signal?.addEventListener("abort", () => {
          reject(signal?.reason);
          body.break(signal?.reason as Error);
        });
        return promise;
      },
    };
    return new OllamaStream(
      client,
      clock,
      { ...LIMITS, ...limits },
      { node: "n", model: "m", path: "/api/chat", body: "{}" },
    );
  }

  function startWithBody(limits: Partial<StreamLimits> = {}): OllamaStream {
    const stream = start(limits);
    respond({ kind: "body", body });
    return stream;
  }

  async function failureOf(stream: OllamaStream): Promise<DroverError> {
    try {
      while ((await stream.next()) !== undefined);
    } catch (error) {
      return error as DroverError;
    }
    throw new Error("the stream ended well");
  }

  beforeEach(() => {
    clock = new SimClock(1_000);
    body = new Body();
  });

  test("gives every chunk, then done, then the end", async () => {
    const stream = startWithBody();
    body.line(chunkOf("a"));
    body.line(DONE);
    body.end();
    expect(await stream.next()).toMatchObject({ kind: "chunk", object: { message: { content: "a" } } });
    expect(await stream.next()).toMatchObject({ kind: "done", object: { done_reason: "stop" } });
    expect(await stream.next()).toBeUndefined();
    expect(await stream.closed).toBeUndefined();
    expect(clock.pendingCount).toBe(0);
  });

  test("takes the answer to _debug_render_only as done, though it does not say so", async () => {
    const stream = startWithBody();
    body.line({ model: "m", _debug_info: { rendered_template: "x" } });
    body.end();
    expect(await stream.next()).toMatchObject({ kind: "done" });
  });

  test("takes a last line without its newline", async () => {
    const stream = startWithBody();
    body.send(JSON.stringify(DONE));
    body.end();
    expect(await stream.next()).toMatchObject({ kind: "done" });
  });

  test("is not broken by a connection that breaks after done", async () => {
    const stream = startWithBody();
    body.line(DONE);
    body.break(new Error("ECONNRESET"));
    expect(await stream.next()).toMatchObject({ kind: "done" });
    expect(await stream.next()).toBeUndefined();
    expect(await stream.closed).toBeUndefined();
  });

  test("ends with done, and destroys a connection that stays open 1 s later", async () => {
    const stream = startWithBody();
    body.line(chunkOf("a"));
    body.line(DONE);
    expect(await stream.next()).toMatchObject({ kind: "chunk" });
    expect(await stream.next()).toMatchObject({ kind: "done" });
    expect(await stream.next()).toBeUndefined();
    await clock.advanceAsync(500);
    // Whatever it still sends buys it no time.
    body.line(chunkOf("late"));
    await clock.advanceAsync(499);
    expect(signal?.aborted).toBe(false);
    await clock.advanceAsync(1);
    expect(signal?.aborted).toBe(true);
    expect(await stream.closed).toBeUndefined();
    expect(body.isDestroyed).toBe(true);
    expect(clock.pendingCount).toBe(0);
  });

  test("is closed after done even when its caller reads nothing", async () => {
    const stream = startWithBody({ readAheadBytes: 10 });
    body.send(`${JSON.stringify(chunkOf("a"))}\n${JSON.stringify(DONE)}\n`);
    await clock.advanceAsync(1_000);
    expect(await stream.closed).toBeUndefined();
    expect(await stream.next()).toMatchObject({ kind: "chunk" });
    expect(await stream.next()).toMatchObject({ kind: "done" });
    expect(await stream.next()).toBeUndefined();
  });

  test("turns a refusal into its error", async () => {
    const stream = start();
    respond({ kind: "refused", answer: { status: 404, text: '{"error":"model \'m\' not found"}' } });
    expect((await failureOf(stream)).kind).toBe("node_lacks_model");
    expect((await stream.closed)?.kind).toBe("node_lacks_model");
  });

  test("calls a connection that breaks before the first line unreachable", async () => {
    const stream = start();
    respond(new Error("other side closed"));
    expect((await failureOf(stream)).kind).toBe("ollama_unreachable");
  });

  test("tells the ends apart: nothing, an end without done, an error in the stream, a broken connection", async () => {
    const ends: [string, readonly (object | string | Error)[]][] = [
      ["no_output", []],
      ["runner_crashed", [{ error: "an error was encountered while running the model: unexpected EOF" }]],
      ["out_of_memory", [{ error: "CUDA error: out of memory" }]],
      ["output_incomplete", [chunkOf("a")]],
      ["stream_broken", [chunkOf("a"), { error: "strange" }]],
      ["runner_crashed", [chunkOf("a"), { error: "model runner has unexpectedly stopped" }]],
      ["stream_broken", [chunkOf("a"), new Error("ECONNRESET")]],
      ["node_protocol_error", ["<html>\n"]],
    ];
    for (const [kind, parts] of ends) {
      body = new Body();
      const stream = startWithBody();
      for (const part of parts) {
        if (part instanceof Error) body.break(part);
        else if (typeof part === "string") body.send(part);
        else body.line(part);
      }
      body.end();
      const failure = await failureOf(stream);
      expect([kind, failure.kind]).toEqual([kind, kind]);
      expect((await stream.closed)?.kind).toBe(kind);
    }
  });

  test("says how many chunks came before the break", async () => {
    const stream = startWithBody();
    body.line(chunkOf("a"));
    body.line(chunkOf("b"));
    body.end();
    const failure = await failureOf(stream);
    expect(failure.message).toContain("after 2 chunks");
    expect(failure.facts).toEqual({ model: "m", node: "n", chunks: "2" });
  });

  test.each([
    [30, "token_repeat"],
    [29, "output_incomplete"],
  ])("calls an end after %i equal chunks %s", async (count, kind) => {
    const stream = startWithBody({ readAheadBytes: 1e6 });
    for (let i = 0; i < count; i++) body.line(chunkOf(i % 2 === 0 ? " the" : "the "));
    body.end();
    expect((await failureOf(stream)).kind).toBe(kind);
  });

  test("gives up when no first line comes in time, and destroys the socket", async () => {
    const stream = start();
    const failure = failureOf(stream);
    await clock.advanceAsync(299_999);
    expect(signal?.aborted).toBe(false);
    await clock.advanceAsync(1);
    expect(signal?.aborted).toBe(true);
    expect((await failure).kind).toBe("first_token_timeout");
    expect((await stream.closed)?.kind).toBe("first_token_timeout");
  });

  test("gives up when nothing comes between two tokens, and still gives what came before", async () => {
    const stream = startWithBody();
    body.line(chunkOf("a"));
    await clock.advanceAsync(59_999);
    body.line(chunkOf("b"));
    await clock.advanceAsync(59_999);
    expect(signal?.aborted).toBe(false);
    await clock.advanceAsync(1);
    expect(await stream.next()).toMatchObject({ kind: "chunk" });
    expect(await stream.next()).toMatchObject({ kind: "chunk" });
    const failure = await failureOf(stream);
    expect(failure.kind).toBe("stream_stalled");
    expect(failure.message).toContain("after 2 chunks");
    expect(body.isDestroyed).toBe(true);
  });

  test("reads ahead of its caller up to its bound, and no further", async () => {
    const stream = startWithBody();
    for (let i = 0; i < 100; i++) body.line(chunkOf("x".repeat(100)));
    await clock.advanceAsync(0);
    const lineBytes = JSON.stringify(chunkOf("x".repeat(100))).length;
    expect(body.taken).toBe(Math.ceil(LIMITS.readAheadBytes / lineBytes));
    await stream.next();
    await clock.advanceAsync(0);
    expect(body.taken).toBe(Math.ceil(LIMITS.readAheadBytes / lineBytes) + 1);
    stream.abort(new DroverError("cancelled", "enough"));
    await stream.closed;
  });

  test("does not blame Ollama while its own caller is slow, and gives up on a caller that reads nothing for 30 s", async () => {
    const stream = startWithBody();
    for (let i = 0; i < 100; i++) body.line(chunkOf("x".repeat(100)));
    for (let i = 0; i < 5; i++) {
      await clock.advanceAsync(29_000);
      await stream.next();
    }
    await clock.advanceAsync(29_999);
    expect(signal?.aborted).toBe(false);
    await clock.advanceAsync(1);
    expect((await failureOf(stream)).kind).toBe("caller_stalled");
    expect((await stream.closed)?.kind).toBe("caller_stalled");
    expect(body.isDestroyed).toBe(true);
  });

  test("destroys the socket at once when it is aborted, and the first reason stands", async () => {
    const stream = startWithBody();
    body.line(chunkOf("a"));
    await stream.next();
    stream.abort(new DroverError("cancelled", "the caller left"));
    expect(signal?.aborted).toBe(true);
    expect((await failureOf(stream)).kind).toBe("cancelled");
    expect((await stream.closed)?.kind).toBe("cancelled");
    expect(clock.pendingCount).toBe(0);
  });

  test("refuses a line over its limit", async () => {
    const stream = startWithBody();
    body.send("x".repeat(LIMITS.lineLimitBytes + 1));
    expect((await failureOf(stream)).kind).toBe("node_protocol_error");
    expect(body.isDestroyed).toBe(true);
  });
});
