import { Code, ConnectError } from "@connectrpc/connect";
import { ENDINGS, META as PLATFORM_META, reasonOf } from "@drover/platform";
import { describe, expect, expectTypeOf, it } from "vitest";
import { routerError } from "../../test/in-memory-router.ts";
import { META } from "../metadata.ts";
import { DroverError } from "./drover-error.ts";
import { type FailedCall, toDroverError } from "./from-connect-error.ts";
import type { ServerReason } from "./reasons.ts";

const CALL: FailedCall = { isCancelled: false, timeoutMs: undefined, hasAnswered: false };

function withCode(code: string): Error {
  return Object.assign(new Error(`connect ${code} 127.0.0.1:1`), { code });
}

describe("what a transport throws", () => {
  it.each([
    ["is refused", Code.Unavailable, withCode("ECONNREFUSED"), "ROUTER_UNREACHABLE"],
    ["finds no such name", Code.Unavailable, withCode("ENOTFOUND"), "ROUTER_UNREACHABLE"],
    ["is not fetched", Code.Unknown, new TypeError("Failed to fetch"), "ROUTER_UNREACHABLE"],
    ["is killed", Code.Canceled, undefined, "CONNECTION_LOST"],
    ["is reset", Code.Aborted, withCode("ECONNRESET"), "CONNECTION_LOST"],
    ["breaks HTTP/2", Code.Internal, withCode("ERR_HTTP2_SESSION_ERROR"), "CONNECTION_LOST"],
  ])("is no cancellation of the caller's when the connection %s", (_, code, cause, reason) => {
    const error = toDroverError(new ConnectError("broken", code, undefined, undefined, cause), CALL);
    expect([error.reason, error.status]).toEqual([reason, "UNAVAILABLE"]);
    expect(error.cause).toBeInstanceOf(ConnectError);
  });

  it("was lost under way, whatever the cause, once the answer had begun", () => {
    const refused = new ConnectError("x", Code.Unavailable, undefined, undefined, withCode("ECONNREFUSED"));
    expect(toDroverError(refused, { ...CALL, hasAnswered: true }).reason).toBe("CONNECTION_LOST");
  });

  it("names what the operating system said, and CORS where only fetch speaks", () => {
    const node = new ConnectError("fetch failed", Code.Unknown, undefined, undefined, undefined);
    node.cause = new TypeError("fetch failed", { cause: withCode("ECONNREFUSED") });
    expect(toDroverError(node, CALL).message).toBe(
      "No router could be reached: connect ECONNREFUSED 127.0.0.1:1. Is it running at this address?",
    );
    const browser = new ConnectError(
      "Failed to fetch",
      Code.Unknown,
      undefined,
      undefined,
      new TypeError("Failed to fetch"),
    );
    expect(toDroverError(browser, CALL).message).toContain("--cors-origin");
  });

  it("is the caller's end whatever the transport makes of it", () => {
    const why = new Error("enough");
    for (const code of [Code.Canceled, Code.Internal, Code.Unavailable]) {
      const error = toDroverError(new ConnectError("x", code), { ...CALL, isCancelled: true, cancelCause: why });
      expect([error.reason, error.status, error.cause]).toEqual(["CANCELLED", "CANCELLED", why]);
    }
  });

  it("passes through when it is a DroverError already", () => {
    const error = new DroverError("mine", { reason: "INTERNAL", status: "INTERNAL" });
    expect(toDroverError(error, CALL)).toBe(error);
  });

  it("is a wrong argument when it is a TypeError", () => {
    expect(toDroverError(new TypeError("invalid header name"), CALL).reason).toBe("INVALID_ARGUMENT_LOCAL");
  });
});

describe("what a router says", () => {
  it("keeps reason, facts and delay, and the name of a newer router's reason", () => {
    const error = toDroverError(
      routerError(Code.ResourceExhausted, "NEWER_REASON", {
        facts: { model: "m", node: "n", attempt: "3" },
        retryMs: 250,
      }),
      CALL,
    );
    expect(error).toMatchObject({
      reason: "OTHER",
      rawReason: "NEWER_REASON",
      status: "RESOURCE_EXHAUSTED",
      retryAfterMs: 250,
    });
    expect([error.node, error.attempts, error.facts["model"]]).toEqual(["n", 3, "m"]);
  });

  it("may be a transport of this client's, which has reasons of its own", () => {
    for (const reason of ["CONNECTION_LOST", "ROUTER_UNREACHABLE", "TOKEN_UNAVAILABLE"])
      expect(toDroverError(routerError(Code.Unavailable, reason), CALL).reason).toBe(reason);
  });

  it("takes grpc-retry-pushback-ms for the delay, and a negative one for none", () => {
    const pushback = (ms: string) =>
      toDroverError(routerError(Code.Unavailable, "X", { trailers: { "grpc-retry-pushback-ms": ms } }), CALL)
        .retryAfterMs;
    expect([pushback("40"), pushback("0"), pushback("-1"), pushback("soon")]).toEqual([40, 0, undefined, undefined]);
  });

  it("is shown as it is where a name is not spelt as gRPC spells it", () => {
    const node = (name: string) =>
      toDroverError(routerError(Code.Unknown, "X", { trailers: { "drover-node": name } }), CALL).node;
    expect([node("100%"), node("caf%C3%A9"), node("")]).toEqual(["100%", "café", undefined]);
  });

  it("has no reason when it comes from a proxy, but keeps its status", () => {
    const wire = new ConnectError("no healthy upstream", Code.Unavailable);
    wire.isWireError = true;
    expect(toDroverError(wire, CALL)).toMatchObject({ reason: "UNSPECIFIED", status: "UNAVAILABLE" });
    const http = new ConnectError("HTTP 404", Code.Unimplemented);
    expect(toDroverError(http, CALL)).toMatchObject({ reason: "UNSPECIFIED", status: "UNIMPLEMENTED" });
    const foreign = routerError(Code.Unauthenticated, "TOKEN_EXPIRED", { domain: "proxy.example" });
    expect(toDroverError(foreign, CALL)).toMatchObject({ reason: "UNSPECIFIED", status: "UNAUTHENTICATED" });
    expect(toDroverError(new ConnectError("", Code.Unauthenticated), CALL).message).toContain("UNAUTHENTICATED");
  });

  it("is a passed deadline only when the call had one", () => {
    const timer = new ConnectError("the operation timed out", Code.DeadlineExceeded);
    expect(toDroverError(timer, { ...CALL, timeoutMs: 5 }).message).toContain("by the caller's own timer");
    const late = toDroverError(timer, { ...CALL, timeoutMs: 5, hasAnswered: true, tokensReceived: 7 });
    expect([late.reason, late.message]).toEqual(["DEADLINE_EXCEEDED", expect.stringContaining("after 7 tokens")]);
    expect(late.message).not.toContain("timed out");
    const failover = new ConnectError("Before that: a:1 could not be reached.", Code.DeadlineExceeded);
    expect(toDroverError(failover, { ...CALL, timeoutMs: 5 }).message).toMatch(/deadline of 5 ms .* Before that: a:1/);
    expect(toDroverError(timer, CALL)).toMatchObject({ reason: "UNSPECIFIED", status: "DEADLINE_EXCEEDED" });
  });
});

describe("the names", () => {
  it("of reasons are those of Drover's table of endings", () => {
    expectTypeOf<ServerReason>().toEqualTypeOf<Uppercase<keyof typeof ENDINGS>>();
    // At run time too, so that this test is one where types are not checked.
    expect(Object.keys(ENDINGS).map((kind) => reasonOf(kind as keyof typeof ENDINGS))).toContain("MODEL_NOT_FOUND");
  });

  it("of metadata are Drover's", () => {
    expect(Object.entries(META).filter(([name, key]) => PLATFORM_META[name as keyof typeof META] !== key)).toEqual([]);
  });
});
