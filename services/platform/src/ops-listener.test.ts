import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "./clock.ts";
import { HealthRegistry } from "./health-service.ts";
import { silentLogger } from "./log.ts";
import { type OpsListener, type OpsListenerOptions, openOpsListener } from "./ops-listener.ts";

const opened: OpsListener[] = [];
afterEach(async () => {
  for (const listener of opened.splice(0)) await listener.close();
});

async function open(options: Partial<OpsListenerOptions> = {}): Promise<string> {
  const listener = await openOpsListener({
    listen: "127.0.0.1:0",
    isInsecureAllowed: false,
    readiness: () => ({ isReady: true, dependencies: [] }),
    health: new HealthRegistry(),
    clock: systemClock,
    log: silentLogger,
    ...options,
  });
  opened.push(listener);
  return `http://${listener.address}`;
}

describe("the operators' port", () => {
  it("says that the program lives", async () => {
    const response = await fetch(`${await open()}/healthz?x=1`);
    expect([response.status, await response.json()]).toEqual([200, { status: "ok" }]);
  });

  it("says whether it may be sent work, and what is missing", async () => {
    const report = {
      isReady: false,
      dependencies: [{ name: "ollama", isReady: false, detail: "does not answer for 5 s" }],
    };
    const url = await open({ readiness: () => report });
    const response = await fetch(`${url}/readyz`);
    expect([response.status, await response.json()]).toEqual([503, report]);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect((await fetch(`${await open()}/readyz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`, { method: "HEAD" })).status).toBe(503);
  });

  it("serves metrics only where there are some, and nothing else", async () => {
    const url = await open();
    expect((await fetch(`${url}/metrics`)).status).toBe(404);
    expect((await fetch(`${url}/`)).status).toBe(404);
    expect((await fetch(`${url}/healthz`, { method: "POST" })).status).toBe(405);
    const withMetrics = await open({ metrics: (_, response) => response.end("up 1\n") });
    expect(await (await fetch(`${withMetrics}/metrics`)).text()).toBe("up 1\n");
  });

  it("stands on loopback only unless more is asked for, and checks the Host there", async () => {
    const rejected = open({ listen: "0.0.0.0:0" });
    await expect(rejected).rejects.toThrow(/^--ops-listen 0\.0\.0\.0:0 can be reached from other machines/);
    const url = new URL(await open());
    const taken = open({ listen: url.host });
    await expect(taken).rejects.toThrow(/--ops-listen .*the port is taken/);
    const { request } = await import("node:http");
    const status = await new Promise((resolve) => {
      request({ port: url.port, path: "/healthz", headers: { host: "evil.com" } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end();
    });
    expect(status).toBe(403);
  });
});
