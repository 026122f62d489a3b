import { Code, ConnectError, createContextValues, createHandlerContext } from "@connectrpc/connect";
import { DroverError, META, SimClock, setCallId } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { describe, expect, test } from "vitest";
import { AttachedRouters } from "../status/attached-routers.ts";
import { CallScope, readIdentity } from "./call-scope.ts";

function contextOf(options: { headers?: Record<string, string>; timeoutMs?: number; signal?: AbortSignal } = {}) {
  const { headers = {}, timeoutMs, signal } = options;
  return createHandlerContext({
    method: InferenceService.method.chat,
    service: InferenceService,
    protocolName: "grpc",
    requestMethod: "POST",
    url: "http://localhost/",
    requestHeader: headers,
    contextValues: setCallId(createContextValues(), "own-id"),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(signal === undefined ? {} : { requestSignal: signal }),
  } as Parameters<typeof createHandlerContext>[0]);
}

const reasonOf = (scope: CallScope): DroverError => scope.signal.reason as DroverError;

describe("the frame of a call", () => {
  test("ends a little before the caller's deadline and says where the time went", () => {
    const clock = new SimClock();
    const scope = new CallScope(contextOf({ timeoutMs: 1_000 }), clock, 'model "m" on node "n"');
    clock.advance(979);
    expect(scope.signal.aborted).toBe(false);
    clock.advance(1);
    expect(reasonOf(scope).kind).toBe("deadline_exceeded");
    // Connect counts what is left on its own clock, which may have moved on by a millisecond.
    expect(reasonOf(scope).message).toMatch(
      /^The deadline passed in the queue for model "m" on node "n": queue 9(79|80) ms, load 0 ms, prefill 0 ms, decode 0 ms\.$/,
    );
  });

  test("ends at once when nothing of the deadline is left for it", () => {
    const scope = new CallScope(contextOf({ timeoutMs: 5 }), new SimClock(), "x");
    expect(reasonOf(scope).kind).toBe("deadline_exceeded");
  });

  test.each<[string, unknown, string]>([
    ["a caller that leaves", new ConnectError("gone", Code.Canceled), "cancelled"],
    ["a broken connection", new Error("ECONNRESET"), "cancelled"],
    ["connect's own timer", new ConnectError("late", Code.DeadlineExceeded), "deadline_exceeded"],
    ["an agent that stops", new ConnectError("stops", Code.Unavailable), "node_draining"],
  ])("ends for %s", (_, cause, kind) => {
    const caller = new AbortController();
    const scope = new CallScope(contextOf({ signal: caller.signal }), new SimClock(), "x");
    caller.abort(cause);
    expect(reasonOf(scope).kind).toBe(kind);
  });

  test("keeps its first reason", () => {
    const scope = new CallScope(contextOf(), new SimClock(), "x");
    scope.abort(new DroverError("cancelled", "first"));
    scope.abort(new DroverError("internal", "second"));
    expect(reasonOf(scope).message).toBe("first");
  });

  test("runs what hangs on it when it ends, at once when it has ended, and never when it was withdrawn", () => {
    const scope = new CallScope(contextOf(), new SimClock(), "x");
    const seen: string[] = [];
    scope.onAbort(() => seen.push("kept"));
    scope.onAbort(() => seen.push("withdrawn"))();
    scope.abort(new DroverError("cancelled", "left"));
    scope.onAbort(({ message }) => seen.push(message));
    expect(seen).toEqual(["kept", "left"]);
  });

  test("is not ended by the end of the call itself, and leaves no timer", () => {
    const clock = new SimClock();
    const caller = new AbortController();
    const scope = new CallScope(contextOf({ timeoutMs: 1_000, signal: caller.signal }), clock, "x");
    scope.close();
    caller.abort();
    clock.advance(10_000);
    expect(scope.signal.aborted).toBe(false);
    expect(clock.pendingCount).toBe(0);
  });

  test("stops waiting when it ends", async () => {
    const scope = new CallScope(contextOf(), new SimClock(), "x");
    const waiting = scope.race(new Promise(() => undefined));
    scope.abort(new DroverError("cancelled", "left"));
    await expect(waiting).rejects.toThrow("left");
    expect(await new CallScope(contextOf(), new SimClock(), "x").race(Promise.resolve(7))).toBe(7);
  });
});

describe("who sent a call", () => {
  const fromRouter = { [META.call]: "routers-id", [META.attempt]: "2", [META.send]: "41" };

  test("is a router only with the secret of its Attach stream", () => {
    const routers = new AttachedRouters(() => undefined);
    const router = routers.add({ name: "r", incarnation: "1", address: "" });
    const secret = router?.secret ?? "";
    // It needs to hear of progress also where its caller does not want to.
    const context = contextOf({ headers: { ...fromRouter, [META.progress]: "off", [META.router]: secret } });
    expect(readIdentity(context, routers)).toMatchObject({
      callId: "routers-id",
      attempt: "2",
      send: 41,
      router: { name: "r" },
      isProgressTold: true,
    });
    for (const headers of [fromRouter, { ...fromRouter, [META.router]: "0".repeat(32) }]) {
      const identity = readIdentity(contextOf({ headers }), routers);
      expect(identity).toMatchObject({ callId: "own-id", attempt: undefined, send: undefined, router: undefined });
    }
  });

  test("may say how long it waits, whether it wants progress, and which node it wants", () => {
    const headers = { [META.maxWaitMs]: "250", [META.progress]: "off", [META.node]: "gpu-1" };
    const identity = readIdentity(contextOf({ headers }), new AttachedRouters(() => undefined));
    expect(identity).toMatchObject({ maxWaitMs: 250, isProgressTold: false, wantedNode: "gpu-1" });
    expect(readIdentity(contextOf(), new AttachedRouters(() => undefined))).toMatchObject({
      maxWaitMs: undefined,
      isProgressTold: true,
      wantedNode: undefined,
    });
  });
});
