import { Code } from "@connectrpc/connect";
import { ENDINGS } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { brokenStreamError, kindOfCode, notGrpcError, unsentRequestError } from "./transport-error.ts";

function systemError(code: string): Error {
  return Object.assign(new Error(`connect ${code} 10.1.2.3:50052`), { code });
}

describe("a stream that broke", () => {
  it.each([
    ["ECONNREFUSED", "node_unreachable", "refused: is drover-agent running there?"],
    ["ENOTFOUND", "node_unreachable", "host name does not resolve"],
    ["EHOSTUNREACH", "node_unreachable", "its machine does not answer"],
    ["ETIMEDOUT", "node_unreachable", "its machine does not answer"],
    ["ECONNRESET", "node_unreachable", "was lost"],
    ["ERR_HTTP2_GOAWAY_SESSION", "stream_refused", "was closing"],
    ["ERR_INVALID_URL", "node_unreachable", "its endpoint is not an address"],
  ])("by %s is %s", (code, kind, words) => {
    const cause = systemError(code);
    const error = brokenStreamError({ error: cause });
    expect(error).toMatchObject({ kind, cause });
    expect(error.message).toContain(words);
    expect(error.message).toMatch(/[a-z][.?]$/);
  });

  it("without any sign is a lost node", () => {
    expect(brokenStreamError({}).kind).toBe("node_unreachable");
  });

  it("never tells an address to callers", () => {
    expect(brokenStreamError({ error: systemError("ECONNREFUSED") }).message).not.toContain("10.1.2.3");
  });
});

describe("a request that was not sent", () => {
  it.each(["ERR_HTTP2_GOAWAY_SESSION", "ERR_HTTP2_INVALID_SESSION"])("for %s may go elsewhere", (code) => {
    const error = unsentRequestError(systemError(code));
    expect(error.ending.elsewhere).toBe("free");
    expect(error.ending.blame).toBe("nobody");
  });

  it("for headers that HTTP/2 cannot carry is the call's own fault", () => {
    const error = unsentRequestError(systemError("ERR_HTTP2_INVALID_CONNECTION_HEADERS"));
    expect(error.kind).toBe("malformed_request");
  });

  it.each(["ERR_HTTP2_SEND_FILE", "ERR_INVALID_ARG_TYPE"])("does not blame the caller for %s", (code) => {
    expect(unsentRequestError(systemError(code)).kind).toBe("internal");
    expect(unsentRequestError(new TypeError("our own bug")).kind).toBe("internal");
  });
});

describe("an answer that is not gRPC", () => {
  it.each([
    [404, undefined, "not_implemented", "HTTP 404"],
    [502, "text/html", "node_protocol_error", "HTTP 502"],
    [200, "text/html", "node_protocol_error", "text/html"],
    [200, undefined, "node_protocol_error", "nothing"],
  ])("with %i and %s is %s", (status, contentType, kind, words) => {
    const error = notGrpcError(status, contentType);
    expect(error.kind).toBe(kind);
    expect(error.message).toContain(words);
  });
});

describe("a status without a reason of Drover's", () => {
  it.each(Object.values(Code).filter((code) => typeof code === "number"))(
    "%i has a kind whose status a caller can act on",
    (code) => {
      const { code: mapped } = ENDINGS[kindOfCode(code)];
      const kept = [
        Code.InvalidArgument,
        Code.Unimplemented,
        Code.DeadlineExceeded,
        Code.Canceled,
        Code.ResourceExhausted,
        Code.PermissionDenied,
        Code.DataLoss,
      ];
      if (kept.includes(code)) expect(mapped).toBe(code);
      else expect([Code.Unavailable, Code.InvalidArgument, Code.PermissionDenied]).toContain(mapped);
    },
  );
});
