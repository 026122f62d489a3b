import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { afterEach, describe, expect, it } from "vitest";
import { adminGuard } from "./admin-guard.ts";
import { readAdminToken } from "./admin-token.ts";
import { openTestListener, type TestListener } from "./listener/listener.fixture.ts";

const TOKEN = "correct horse battery".replaceAll(" ", "-");

const opened: TestListener[] = [];
afterEach(async () => {
  for (const listener of opened.splice(0)) {
    listener.destroy();
    await listener.drain();
  }
});

/** Calls the guarded `Embed`, over HTTP/1.1 from this machine, and says how it ended. */
async function embed(token: string | undefined, headers: Record<string, string> = {}): Promise<ConnectError | "ok"> {
  const guard = adminGuard({ methods: [InferenceService.method.embed], ...(token === undefined ? {} : { token }) });
  const listener = await openTestListener({ interceptors: [guard], corsOrigins: ["*"] });
  opened.push(listener);
  const client = createClient(InferenceService, createConnectTransport({ baseUrl: listener.url, httpVersion: "1.1" }));
  for await (const _ of client.generate({ model: "m" }, { headers }));
  try {
    await client.embed({ model: "e" }, { headers });
    return "ok";
  } catch (error) {
    return ConnectError.from(error);
  }
}

describe("adminGuard without a token", () => {
  it("believes this machine", async () => expect(await embed(undefined)).toBe("ok"));

  it.each(["origin", "forwarded", "x-forwarded-for", "x-envoy-internal", "x-real-ip"])(
    "never believes a call with %s to be local, and names the flag; other methods pass",
    async (name) => {
      const error = await embed(undefined, { [name]: "x" });
      expect(error).toMatchObject({ code: Code.PermissionDenied });
      expect(String(error)).toContain("--admin-token-file");
    },
  );
});

describe("adminGuard with a token", () => {
  it("needs it on this machine as well", async () => {
    expect(await embed(TOKEN)).toMatchObject({ code: Code.PermissionDenied });
    expect(await embed(TOKEN, { authorization: `Bearer ${TOKEN}` })).toBe("ok");
    expect(await embed(TOKEN, { authorization: `bearer  ${TOKEN}`, "x-forwarded-for": "10.0.0.1" })).toBe("ok");
  });

  it.each(["Bearer wrong", `Bearer ${TOKEN}x`, `Basic ${TOKEN}`, TOKEN, "Bearer", "Bearer "])(
    "refuses %j",
    async (authorization) => {
      const error = await embed(TOKEN, { authorization });
      expect(error).toMatchObject({ code: Code.PermissionDenied });
      expect(String(error)).not.toContain(TOKEN);
    },
  );
});

describe("readAdminToken", () => {
  const folder = mkdtempSync(join(tmpdir(), "drover-token-"));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const write = (content: string): string => {
    const file = join(mkdtempSync(join(tmpdir(), "drover-token-")), "token");
    writeFileSync(file, content);
    return file;
  };

  it("reads the token of the file, and nothing without the flag", () => {
    expect(readAdminToken(undefined)).toBeUndefined();
    expect(readAdminToken(write(`${TOKEN}\n`))).toBe(TOKEN);
  });

  it.each([
    ["", /at least 16 printable characters/],
    ["short\n", /at least 16/],
    [`${TOKEN}\n${TOKEN}\n`, /one token/],
    ["x".repeat(5000), /larger than 4096 bytes/],
  ])("refuses the content %#", (content, sentence) => expect(() => readAdminToken(write(content))).toThrow(sentence));

  it("names a file that is not there", () => {
    expect(() => readAdminToken(join(folder, "none"))).toThrow(/--admin-token-file .*cannot be read \(ENOENT\)/);
  });
});
