import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SimClock } from "@drover/platform";
import { afterEach, describe, expect, it } from "vitest";
import { runtimeClock } from "../clock.ts";
import { consulAccess } from "./consul-environment.ts";
import { consulList } from "./consul-list.ts";
import { dnsList } from "./dns-list.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const service = { kind: "consul", service: "drover-router", consul: undefined } as const;

async function consulThat(answers: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(answers);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const listAt = (url: string, token?: string) =>
  consulList(service, { clock: runtimeClock, scheme: "http", access: { url, token } });

const instance = (address: unknown, port: unknown, node: unknown = "10.0.0.9") => ({
  Node: { Address: node },
  Service: { Address: address, Port: port },
});

describe("a list of Consul", () => {
  it("has each passing instance once, at its own address or its machine's, and leaves out what cannot be called", async () => {
    const asked: string[] = [];
    const url = await consulThat((request, response) => {
      asked.push(`${request.url} ${request.headers["x-consul-token"]}`);
      const wrong = [null, {}, instance("a", 0), instance("a", "1"), instance("a b", 1), instance(1, 1, 2), "text"];
      response.end(
        JSON.stringify([
          instance("10.0.0.1", 1),
          instance("", 2),
          instance("2001:db8::1", 3),
          instance("10.0.0.1", 1),
          ...wrong,
        ]),
      );
    });
    expect(await listAt(url, "secret").urls()).toEqual([
      "http://10.0.0.1:1",
      "http://10.0.0.9:2",
      "http://[2001:db8::1]:3",
    ]);
    expect(asked).toEqual(["/v1/health/service/drover-router?passing secret"]);
  });

  it.each([
    [200, "[]", /it knows no passing instance/],
    [200, "<html>", /no list of services: is this Consul/],
    [200, '{"a":1}', /no list of services/],
    [403, "Permission denied", /it refuses the token \(HTTP 403; CONSUL_HTTP_TOKEN\)/],
    [500, "No cluster leader", /it cannot answer \(HTTP 500; has it a leader\?\)/],
    [400, "", /it refuses the question \(HTTP 400\)/],
    [200, `["${"x".repeat(5 * 1024 * 1024)}"]`, /its answer is too long/],
  ])("is none after HTTP %i", async (status, body, words) => {
    const url = await consulThat((_, response) => {
      response.writeHead(status).end(body);
    });
    const failure = await Promise.resolve(listAt(url).urls()).catch((error: unknown) => error);
    expect(String(failure)).toMatch(words);
    expect(String(failure)).toContain(`Consul at ${url} was asked for drover-router: `);
  });

  it("is none of a Consul that never answers, after five seconds", async () => {
    const url = await consulThat(() => undefined);
    const clock = new SimClock();
    const list = consulList(service, { clock, scheme: "http", access: { url, token: undefined } });
    const failure = Promise.resolve(list.urls()).catch(String);
    await clock.advanceAsync(5_001);
    expect(await failure).toContain("it does not answer");
    expect(clock.pendingCount).toBe(0);
  });

  it("is not waited for any more once it was closed", async () => {
    const list = listAt(await consulThat(() => undefined));
    const failure = Promise.resolve(list.urls()).catch(String);
    list.close();
    expect(await failure).toContain("Consul");
  });

  it("is asked where and with the token that Consul's own tools would use", () => {
    const access = (env: Record<string, string>, given?: string) => consulAccess(given, env);
    expect(access({})).toEqual({ url: "http://127.0.0.1:8500", token: undefined });
    expect(access({ CONSUL_HTTP_ADDR: "c:1", CONSUL_HTTP_SSL: "true" }).url).toBe("https://c:1");
    expect(access({ CONSUL_HTTP_ADDR: "http://c:1/", CONSUL_HTTP_TOKEN: "t" })).toEqual({
      url: "http://c:1",
      token: "t",
    });
    expect(access({ CONSUL_HTTP_ADDR: "c:1" }, "other:2").url).toBe("http://other:2");
    expect(() => access({ CONSUL_HTTP_ADDR: "unix:///run/consul" })).toThrow(/CONSUL_HTTP_ADDR "unix:/);
    const folder = mkdtempSync(join(tmpdir(), "drover-token-"));
    ends.push(() => rmSync(folder, { recursive: true }));
    const file = join(folder, "token");
    writeFileSync(file, "from-file\n");
    expect(access({ CONSUL_HTTP_TOKEN_FILE: file, CONSUL_HTTP_TOKEN: "t" }).token).toBe("from-file");
    writeFileSync(file, "two\nlines");
    expect(() => access({ CONSUL_HTTP_TOKEN_FILE: file })).toThrow(/printable and without spaces/);
    expect(() => access({ CONSUL_HTTP_TOKEN_FILE: join(folder, "none") })).toThrow(/cannot be read/);
  });
});

describe("a list of DNS", () => {
  const address = { kind: "dns", host: "routers", port: 50_051 } as const;

  it("has every address of the name once, at most 256", async () => {
    const addresses = ["10.0.0.1", "2001:db8::1", "10.0.0.1"];
    const options = { clock: new SimClock(), scheme: "https" } as const;
    expect(await dnsList(address, { ...options, resolve: async () => addresses }).urls()).toEqual([
      "https://10.0.0.1:50051",
      "https://[2001:db8::1]:50051",
    ]);
    const many = Array.from({ length: 300 }, (_, index) => `10.0.${index >> 8}.${index & 255}`);
    expect(await dnsList(address, { ...options, resolve: async () => many }).urls()).toHaveLength(256);
  });

  it("is resolved again after half a minute, and the last answer stands when that fails", async () => {
    const clock = new SimClock();
    const answers = [["10.0.0.1"], ["10.0.0.2"]];
    const resolve = async (): Promise<readonly string[]> => answers.shift() ?? Promise.reject(new Error("away"));
    const list = dnsList(address, { clock, scheme: "http", resolve });
    await list.urls();
    clock.advance(30_000);
    expect(list.urls()).toEqual(["http://10.0.0.1:50051"]);
    await clock.advanceAsync(0);
    expect(list.urls()).toEqual(["http://10.0.0.2:50051"]);
    clock.advance(60_000);
    expect(await list.freshUrls()).toEqual(["http://10.0.0.2:50051"]);
  });

  it("says why it is none", async () => {
    const away = Object.assign(new Error("away"), { code: "EAI_AGAIN" });
    const options = { clock: new SimClock(), scheme: "http" } as const;
    await expect(dnsList(address, { ...options, resolve: () => Promise.reject(away) }).urls()).rejects.toThrow(
      /dns:\/\/\/routers:50051 cannot be resolved: no name server answers/,
    );
    await expect(dnsList(address, { ...options, resolve: async () => [] }).urls()).rejects.toThrow(/it has no address/);
  });
});
