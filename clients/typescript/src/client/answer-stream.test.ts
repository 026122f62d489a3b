import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import type { ProgressSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { describe, expect, it, vi } from "vitest";
import {
  done,
  type InMemoryAnswers,
  inMemoryRouter,
  MODEL,
  messages,
  routerError,
  say,
} from "../../test/in-memory-router.ts";
import { createDroverClient } from "../browser.ts";
import { DroverError } from "../errors/drover-error.ts";
import type { CallOptions } from "./call-options.ts";
import type { Progress } from "./progress.ts";

type ProgressKind = MessageInitShape<typeof ProgressSchema>["kind"] & object;
type Chat = NonNullable<InMemoryAnswers["chat"]>;

function chatWith(answer: Chat, options: CallOptions = {}) {
  const { transport, headers } = inMemoryRouter({ chat: answer });
  const client = createDroverClient({ transport });
  return { client, headers, stream: client.chat({ model: MODEL, messages }, options) };
}

async function failureOf(promise: Promise<unknown>): Promise<DroverError> {
  const error = await promise.then(
    () => "nothing failed",
    (caught: unknown) => caught,
  );
  expect(error).toBeInstanceOf(DroverError);
  return error as DroverError;
}

/** Speaks once, then waits for the caller to leave. */
function hanging(): { answer: Chat; left: Promise<unknown> } {
  const { promise: left, resolve } = Promise.withResolvers<unknown>();
  const answer: Chat = async function* (_, { signal }) {
    // Before the first word: nobody may pull the next one.
    const leaving = new Promise((wake) => signal.addEventListener("abort", wake));
    void leaving.then(() => resolve(signal.reason));
    yield say("one ");
    await leaving;
  };
  return { answer, left };
}

describe("a token stream", () => {
  it("sends nothing before its first use", async () => {
    const { stream, headers } = chatWith(() => [done()]);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(headers).toHaveLength(0);
    await stream.text();
    expect(headers).toHaveLength(1);
  });

  it("gives each piece to the loop, and the whole to result() and text() afterwards", async () => {
    const { stream } = chatWith(() => [say("a"), say("b"), done("stop", "c")]);
    const texts: string[] = [];
    for await (const chunk of stream) texts.push(chunk.text);
    expect(texts).toEqual(["a", "b", "c"]);
    expect(await stream.text()).toBe("abc");
    expect(await stream.result()).toMatchObject({
      text: "abc",
      doneReason: "stop",
      generatedTokens: 3,
      callId: "call-1",
    });
  });

  it("answers text() and result() together, from one call", async () => {
    const { stream, headers } = chatWith(() => [say("a"), done()]);
    const [text, result] = await Promise.all([stream.text(), stream.result()]);
    expect([text, result.text, headers.length]).toEqual(["a", "a", 1]);
  });

  it("lets result() wait for the loop that is under way", async () => {
    const { stream } = chatWith(() => [say("a"), say("b"), done()]);
    let result: Promise<{ text: string }> | undefined;
    for await (const _ of stream) result ??= stream.result();
    expect((await result)?.text).toBe("ab");
  });

  it("refuses a second loop, and a loop beside result()", async () => {
    const { stream } = chatWith(() => [say("a"), done()]);
    await stream.text();
    expect(() => stream[Symbol.asyncIterator]()).toThrow(/being read already/);
  });

  it("takes the pieces of a reader that asks for several at once in their order", async () => {
    const { stream } = chatWith(() => [say("a"), say("b"), done()]);
    const reader = stream[Symbol.asyncIterator]();
    const reads = await Promise.all([reader.next(), reader.next(), reader.next()]);
    expect(reads.map((read) => read.value?.text)).toEqual(["a", "b", undefined]);
    expect(await reader.next()).toEqual({ done: true, value: undefined });
  });

  it("reads nothing ahead of its reader", async () => {
    let sent = 0;
    const { stream } = chatWith(function* () {
      while (sent < 10_000) {
        sent++;
        yield say("x");
      }
      yield done();
    });
    const reader = stream[Symbol.asyncIterator]();
    await reader.next();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sent).toBeLessThan(10);
    await reader.return?.();
  });

  it("ignores events that this version does not know", async () => {
    const { stream } = chatWith(() => [{ case: undefined }, say("a"), { case: undefined }, done()]);
    expect(await stream.text()).toBe("a");
  });

  it("takes a stream that ends well without its last message for an error, and keeps what came", async () => {
    const { stream } = chatWith(() => [say("a"), say("b")]);
    const error = await failureOf(stream.result());
    expect(error).toMatchObject({ reason: "PROTOCOL_ERROR", partialText: "ab", tokensReceived: 2, callId: "call-1" });
  });
});

describe("a token stream that fails", () => {
  it("tells the loop, then result(), what the router said and what had come", async () => {
    const { stream } = chatWith(function* () {
      yield say("one ");
      yield say("two ");
      const trailers = { "drover-node": "caf%C3%A9", "drover-attempts": "2", "drover-call": "call-1" };
      throw routerError(Code.Unavailable, "STREAM_BROKEN", { facts: { model: MODEL }, trailers, retryMs: 1_500 });
    });
    const loop = (async () => {
      for await (const _ of stream);
    })();
    const error = await failureOf(loop);
    expect(error).toMatchObject({
      reason: "STREAM_BROKEN",
      status: "UNAVAILABLE",
      message: "STREAM_BROKEN it is",
      node: "café",
      attempts: 2,
      callId: "call-1",
      retryAfterMs: 1_500,
      tokensReceived: 2,
      partialText: "one two ",
      facts: { model: MODEL },
    });
    expect(await failureOf(stream.result())).toBe(error);
  });

  it("leaves no promise that nobody handles when only the loop is told", async () => {
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const { stream } = chatWith(function* () {
      yield say("a");
      throw routerError(Code.Unavailable, "STREAM_BROKEN");
    });
    const loop = (async () => {
      for await (const _ of stream);
    })();
    await failureOf(loop);
    await new Promise((resolve) => setTimeout(resolve, 5));
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });

  it.each<[string, ProgressKind, RegExp]>([
    ["a queue", { case: "queued", value: { position: 3 } }, /it waited in a queue, 3 ahead of it\.$/],
    ["a queue of unknown length", { case: "queued", value: {} }, /it waited in a queue\.$/],
    ["a load", { case: "loading", value: {} }, /the node was loading the model\.$/],
    ["a prompt that is read", { case: "prefill", value: {} }, /the node was reading the prompt\.$/],
    [
      "a retry",
      { case: "retrying", value: { node: "a", reason: "X" } },
      /node "a" had failed \(X\) and another was tried\.$/,
    ],
    ["a resumption", { case: "resumed", value: { node: "b" } }, /node "b" went on with the answer\.$/],
  ])("says what was heard last when the caller's own timer is first: %s", async (_, kind, words) => {
    const answer: Chat = async function* (_, { signal }) {
      yield { case: "progress", value: { kind } };
      await new Promise((wake) => signal.addEventListener("abort", wake));
    };
    const { stream } = chatWith(answer, { timeoutMs: 40 });
    const error = await failureOf(stream.text());
    expect(error).toMatchObject({ reason: "DEADLINE_EXCEEDED", status: "DEADLINE_EXCEEDED", tokensReceived: 0 });
    expect(error.message).toContain("deadline of 40 ms passed before the first token");
    expect(error.message).toMatch(words);
  });

  it("reads the router's own word on a passed deadline alike", async () => {
    const { stream } = chatWith(
      () => {
        throw routerError(Code.DeadlineExceeded, "DEADLINE_EXCEEDED");
      },
      { timeoutMs: 60_000 },
    );
    const error = await failureOf(stream.text());
    expect([error.reason, error.status, error.message]).toEqual([
      "DEADLINE_EXCEEDED",
      "DEADLINE_EXCEEDED",
      "DEADLINE_EXCEEDED it is",
    ]);
  });

  it("refuses to keep more than a bound, but hands it to the loop", async () => {
    const mebi = "x".repeat(1024 * 1024);
    const long: Chat = function* () {
      for (let piece = 0; piece < 17; piece++) yield say(mebi);
      yield done();
    };
    const collected = chatWith(long).stream;
    const error = await failureOf(collected.text());
    expect([error.reason, error.partialText.length, error.tokensReceived]).toEqual([
      "ANSWER_TOO_LONG",
      16 * 1024 * 1024,
      17,
    ]);
    const { stream } = chatWith(long);
    let length = 0;
    for await (const { text } of stream) length += text.length;
    expect(length).toBe(17 * 1024 * 1024);
    expect((await failureOf(stream.result())).reason).toBe("ANSWER_TOO_LONG");
  });

  it("ends the call when onProgress throws, and says so", async () => {
    const { answer, left } = hanging();
    const onProgress = (): never => {
      throw new Error("my bug");
    };
    const speaking: Chat = async function* (request, context) {
      for await (const event of answer(request, context)) {
        yield event;
        yield { case: "progress", value: { kind: { case: "loading", value: {} } } };
      }
    };
    const error = await failureOf(chatWith(speaking, { onProgress }).stream.text());
    expect([error.reason, error.message]).toEqual(["INVALID_ARGUMENT_LOCAL", "onProgress threw: my bug"]);
    expect(await left).toBeDefined();
  });
});

describe("a token stream that its caller ends", () => {
  it("ends the call at the other side when the loop is left", async () => {
    const { answer, left } = hanging();
    const { stream } = chatWith(answer);
    for await (const { text } of stream) if (text === "one ") break;
    expect(await left).toBeInstanceOf(ConnectError);
    expect(await failureOf(stream.result())).toMatchObject({
      reason: "CANCELLED",
      partialText: "one ",
      tokensReceived: 1,
    });
  });

  it("ends it when the loop throws", async () => {
    const { answer, left } = hanging();
    const { stream } = chatWith(answer);
    const loop = (async () => {
      for await (const _ of stream) throw new Error("mine");
    })();
    await expect(loop).rejects.toThrow("mine");
    await left;
  });

  it("ends it by cancel(), and tells who reads", async () => {
    const { answer, left } = hanging();
    const { stream } = chatWith(answer);
    const text = failureOf(stream.text());
    await vi.waitFor(() => stream.cancel());
    expect(await text).toMatchObject({ reason: "CANCELLED", status: "CANCELLED" });
    stream.cancel();
    void left;
  });

  it("ends it by signal, with the signal's reason as the cause", async () => {
    const { answer, left } = hanging();
    const controller = new AbortController();
    const { stream } = chatWith(answer, { signal: controller.signal });
    const reader = stream[Symbol.asyncIterator]();
    await reader.next();
    const why = new Error("enough");
    const next = failureOf(reader.next());
    controller.abort(why);
    expect(await next).toMatchObject({ reason: "CANCELLED", cause: why, partialText: "one ", callId: "call-1" });
    await left;
    expect(await failureOf(reader.next())).toMatchObject({ reason: "CANCELLED" });
  });

  it("holds nothing of a signal that outlives its calls", async () => {
    const { signal } = new AbortController();
    const add = vi.spyOn(signal, "addEventListener");
    const remove = vi.spyOn(signal, "removeEventListener");
    await chatWith(() => [done()], { signal }).stream.text();
    for await (const _ of chatWith(hanging().answer, { signal }).stream) break;
    expect(add).toHaveBeenCalledTimes(2);
    expect(remove).toHaveBeenCalledTimes(2);
  });

  it("sends nothing for a signal that has aborted already, nor after cancel()", async () => {
    const aborted = chatWith(() => [done()], { signal: AbortSignal.abort("early") });
    expect(await failureOf(aborted.stream.text())).toMatchObject({ reason: "CANCELLED", cause: "early" });
    const cancelled = chatWith(() => [done()]);
    cancelled.stream.cancel();
    expect(await failureOf(cancelled.stream.text())).toMatchObject({ reason: "CANCELLED" });
    expect([...aborted.headers, ...cancelled.headers]).toEqual([]);
  });

  it("ends it by cancel() while the connection is being made", async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    const { promise: isAsked, resolve: asked } = Promise.withResolvers<void>();
    const transport = {
      stream: (_: unknown, signal: AbortSignal) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        asked();
        return promise;
      },
    } as unknown as Transport;
    const stream = createDroverClient({ transport }).chat({ model: MODEL, messages });
    const reader = stream[Symbol.asyncIterator]();
    const reads = [failureOf(reader.next()), failureOf(reader.next())];
    await isAsked;
    stream.cancel();
    for (const error of await Promise.all(reads))
      expect(error).toMatchObject({ reason: "CANCELLED", tokensReceived: 0 });
  });

  it("asks nothing of the transport when it is ended before its request was put together", async () => {
    const transport = { stream: vi.fn(), unary: vi.fn() };
    const stream = createDroverClient({ transport }).chat({ model: MODEL, messages });
    const text = failureOf(stream.text());
    stream.cancel();
    expect(await text).toMatchObject({ reason: "CANCELLED" });
    expect(transport.stream).not.toHaveBeenCalled();
  });

  it("ends all that runs when the client closes, and refuses what comes later", async () => {
    const { answer, left } = hanging();
    const { client, stream } = chatWith(answer);
    const reader = stream[Symbol.asyncIterator]();
    await reader.next();
    const next = failureOf(reader.next());
    await client.close();
    await client.close();
    expect((await next).reason).toBe("CLIENT_CLOSED");
    await left;
    expect((await failureOf(client.chat({ model: MODEL, messages }).text())).reason).toBe("CLIENT_CLOSED");
    expect((await failureOf(client.embed({ model: MODEL, input: "a" }))).reason).toBe("CLIENT_CLOSED");
  });
});

describe("progress", () => {
  it("comes to the callback as plain objects, and unknown kinds do not", async () => {
    const second = { seconds: 1n, nanos: 500_000_000 };
    const seen: Progress[] = [];
    const { stream } = chatWith(
      () => [
        { case: "progress", value: { kind: { case: "queued", value: { position: 2, expectedWait: second } } } },
        { case: "progress", value: { kind: { case: "loading", value: { elapsed: second } } } },
        { case: "progress", value: { kind: { case: "prefill", value: { elapsed: second, expected: second } } } },
        { case: "progress", value: { kind: { case: "retrying", value: { node: "a", reason: "QUEUE_FULL" } } } },
        { case: "progress", value: { kind: { case: "resumed", value: { node: "b", exact: true } } } },
        { case: "progress", value: {} },
        say("a"),
        done(),
      ],
      { onProgress: (progress) => void seen.push(progress) },
    );
    expect(await stream.text()).toBe("a");
    expect(seen).toEqual([
      { kind: "queued", position: 2, expectedWaitMs: 1_500 },
      { kind: "loading", elapsedMs: 1_500, expectedMs: undefined },
      { kind: "prefill", elapsedMs: 1_500, expectedMs: 1_500 },
      { kind: "retrying", node: "a", reason: "QUEUE_FULL" },
      { kind: "resumed", node: "b", isExact: true },
    ]);
  });
});
