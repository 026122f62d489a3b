import { describe, expect, it } from "vitest";
import { createHttpGuard, type GuardedRequest, type HttpGuardOptions } from "./http-guard.ts";

function ask(
  options: Partial<HttpGuardOptions>,
  headers: GuardedRequest["headers"],
  rest: Partial<GuardedRequest> = {},
) {
  const guard = createHttpGuard({ isLoopbackListener: true, allowHosts: [], corsOrigins: [], ...options });
  return guard({ httpVersion: "1.1", method: "POST", headers, ...rest });
}

describe("the Host check", () => {
  it.each(["localhost", "LOCALHOST:50051", "a.localhost:1", "127.0.0.1:50051", "10.1.2.3", "[::1]:50051", "[::1]"])(
    "lets %s pass on a loopback listener",
    (host) => expect(ask({}, { host }).kind).toBe("pass"),
  );

  it.each([
    "evil.com",
    "evil.com:50051",
    "localhost.evil.com",
    "127.0.0.1.evil.com",
    "evillocalhost",
    "",
    "[evil]",
    "a b",
    "localhost@evil.com",
    "x".repeat(9000),
  ])("refuses %j on a loopback listener and names the flag", (host) => {
    const result = ask({}, { host });
    expect(result).toMatchObject({ kind: "answer", status: 403 });
    expect(result.kind === "answer" && result.text.length < 300 && result.text).toContain("--allow-host");
  });

  it("refuses a request without a Host", () => expect(ask({}, {}).kind).toBe("answer"));

  it("adds named hosts on loopback, and elsewhere lets only those pass when there are any", () => {
    expect(ask({ allowHosts: ["Drover.lan"] }, { host: "drover.LAN:1" }).kind).toBe("pass");
    expect(ask({ allowHosts: ["drover.lan"] }, { host: "localhost" }).kind).toBe("pass");
    expect(ask({ isLoopbackListener: false }, { host: "anything.example" }).kind).toBe("pass");
    expect(ask({ isLoopbackListener: false, allowHosts: ["drover.lan"] }, { host: "drover.lan" }).kind).toBe("pass");
    expect(ask({ isLoopbackListener: false, allowHosts: ["drover.lan"] }, { host: "localhost" }).kind).toBe("answer");
  });

  it("does not ask HTTP/2 callers, who are no browsers here", () => {
    expect(ask({}, { host: "evil.com" }, { httpVersion: "2.0" }).kind).toBe("pass");
  });
});

describe("CORS", () => {
  const page = { host: "localhost", origin: "https://app.example" };
  const preflight = { ...page, "access-control-request-method": "POST" };

  it("is off by default: no header for a page, and its preflight is refused with the flag's name", () => {
    expect(ask({}, page)).toEqual({ kind: "pass", headers: {} });
    const answer = ask({}, preflight, { method: "OPTIONS" });
    expect(answer).toMatchObject({ kind: "answer", status: 403, headers: {} });
    expect(answer).toMatchObject({ text: 'Pages of "https://app.example" may not call; --cors-origin adds them.\n' });
  });

  it("answers a named page, and lets it read what Drover says, unary trailers included", () => {
    const corsOrigins = ["https://App.example"];
    const answer = ask({ corsOrigins }, preflight, { method: "OPTIONS" });
    expect(answer).toMatchObject({ kind: "answer", status: 204 });
    expect(answer.headers).toMatchObject({ "access-control-allow-origin": "https://app.example" });
    expect(answer.headers["access-control-max-age"]).toBe("7200");
    const exposed = ask({ corsOrigins }, page).headers["access-control-expose-headers"]?.split(", ") ?? [];
    expect(exposed).toEqual(expect.arrayContaining(["drover-call", "trailer-drover-node", "grpc-retry-pushback-ms"]));
    expect(ask({ corsOrigins }, { ...page, origin: "https://other.example" })).toEqual({ kind: "pass", headers: {} });
    expect(ask({ corsOrigins }, { ...page, origin: "null" })).toEqual({ kind: "pass", headers: {} });
  });

  it("lets a named page send whatever headers it asks for, authorization and its own included", () => {
    const asked = { ...preflight, "access-control-request-headers": "authorization,content-type,x-request-origin" };
    const corsOrigins = ["https://app.example"];
    const { headers } = ask({ corsOrigins }, asked, { method: "OPTIONS" });
    expect(headers["access-control-allow-headers"]).toBe("authorization,content-type,x-request-origin");
    expect(ask({ corsOrigins: ["https://other.example"] }, asked, { method: "OPTIONS" }).headers).toEqual({});
  });

  it("lets every page in with *, but no foreign Host", () => {
    expect(ask({ corsOrigins: ["*"] }, page).headers["access-control-allow-origin"]).toBe("https://app.example");
    expect(ask({ corsOrigins: ["*"] }, { ...preflight, host: "evil.com" }, { method: "OPTIONS" })).toMatchObject({
      status: 403,
    });
  });

  it("leaves an OPTIONS that is no preflight to the routes", () => {
    expect(ask({}, page, { method: "OPTIONS" }).kind).toBe("pass");
  });
});
