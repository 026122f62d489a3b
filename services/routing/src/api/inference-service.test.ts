import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createHandlerContext } from "@connectrpc/connect";
import { ByteBudget, DroverError } from "@drover/platform";
import { ChatRequestSchema, InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { expect, it, vi } from "vitest";
import type { CallerStream } from "../dispatch/call-request.ts";
import type { Dispatcher } from "../dispatch/dispatcher.ts";
import { createInferenceService } from "./inference-service.ts";

/** A chat that dispatch has taken, over a connect handler whose signal aborts with `reason`. */
function abortedChat(reason: unknown) {
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
  const read = async (): Promise<void> => {
    for await (const _ of service.chat(create(ChatRequestSchema, { model: "m" }), context));
  };
  const answer = read();
  abort.abort(reason);
  return { answer, cancel, dispatched: dispatched.promise };
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
