import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createHandlerContext } from "@connectrpc/connect";
import { ByteBudget, DroverError } from "@drover/platform";
import {
  ChatRequestSchema,
  type ChatResponse,
  ChatResponseSchema,
  InferenceService,
} from "@drover/proto/drover/inference/v1/inference_pb";
import { expect, it, vi } from "vitest";
import type { CallerStream } from "../dispatch/call-request.ts";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import { createInferenceService } from "./inference-service.ts";

/** A chat that dispatch has taken, over a connect handler. */
function openChat() {
  const abort = new AbortController();
  const cancel = vi.fn();
  const dispatched = Promise.withResolvers<CallerStream>();
  const start = (_request: unknown, caller: CallerStream) => {
    dispatched.resolve(caller);
    return { cancel, drained: () => undefined };
  };
  const service = createInferenceService({
    dispatcher: { start } as unknown as Dispatcher,
    bodies: new ByteBudget(1024),
    maxWaitMs: 1_000,
    tellRefused: ({ error }) => error as DroverError,
  });
  const context = createHandlerContext({
    service: InferenceService,
    method: InferenceService.method.chat,
    protocolName: "connect",
    requestMethod: "POST",
    url: "http://localhost/",
    requestSignal: abort.signal,
  });
  const messages: unknown[] = [];
  const read = async (): Promise<void> => {
    const answer = service.chat(create(ChatRequestSchema, { model: "m" }), context) as AsyncIterable<ChatResponse>;
    for await (const message of answer) messages.push(message.event.value);
  };
  return { answer: read(), messages, cancel, abort, dispatched: dispatched.promise };
}

/** The same, whose caller's signal aborts with `reason`. */
function abortedChat(reason: unknown) {
  const chat = openChat();
  chat.abort.abort(reason);
  return chat;
}

function frame(message: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.of(0, 0, 0, 0, message.length), message]);
}

it("leaves the end of a call whose deadline passed to dispatch, which knows where the time went", async () => {
  const { answer, cancel, dispatched } = abortedChat(
    new ConnectError("the operation timed out", Code.DeadlineExceeded),
  );
  const caller = await dispatched;
  expect(cancel).not.toHaveBeenCalled();
  caller.end({ error: new DroverError("deadline_exceeded", "It passed in the queue."), trailers: {} });
  await expect(answer).rejects.toMatchObject({ kind: "deadline_exceeded", message: "It passed in the queue." });
});

it("cancels the call of a caller that left", async () => {
  const { answer, cancel } = abortedChat(new ConnectError("gone", Code.Canceled));
  await expect(answer).rejects.toMatchObject({ kind: "cancelled" });
  expect(cancel).toHaveBeenCalled();
});

it("ends a call whose node sends what cannot be decoded as the node's failure, after what came before it", async () => {
  const { answer, messages, cancel, dispatched } = openChat();
  const caller = await dispatched;
  const event = { case: "chunk" as const, value: { message: { role: "assistant", content: "Hel" } } };
  caller.write(frame(toBinary(ChatResponseSchema, create(ChatResponseSchema, { event }))));
  // A chunk that says it is longer than its message.
  caller.write(frame(Uint8Array.of(0x12, 0x7f, 0x01)));
  await expect(answer).rejects.toMatchObject({
    kind: "node_protocol_error",
    message: expect.stringContaining("no ChatResponse"),
  });
  expect(messages).toMatchObject([{ message: { content: "Hel" } }]);
  expect(cancel).toHaveBeenCalled();
});
