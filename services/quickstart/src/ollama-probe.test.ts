import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { type OllamaProbe, probeOllama } from "./ollama-probe.ts";

async function probeWhile(answer: RequestListener, limitMs?: number): Promise<OllamaProbe> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const probe = await probeOllama(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, limitMs);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  return probe;
}

describe("the look for an Ollama", () => {
  test("finds one by its version", async () => {
    const probe = await probeWhile((request, response) => {
      response.end(request.url === "/api/version" ? '{"version":"0.24.0"}' : "");
    });
    expect(probe).toMatchObject({ kind: "answers", version: "0.24.0" });
  });

  test.each([
    [200, "hello"],
    [404, '{"error":"nothing here"}'],
    [200, "null"],
  ])("knows something else from it: %d %s", async (status, body) => {
    const probe = await probeWhile((_, response) => response.writeHead(status).end(body));
    expect(probe).toMatchObject({ kind: "silent", why: `something else answers there, HTTP ${status}` });
  });

  test("gives up after its limit on one that never answers", async () => {
    expect(await probeWhile(() => undefined, 50)).toMatchObject({ kind: "silent", why: "no answer within 0.05 s" });
  });

  test("says who refuses, who hangs up and what has no name", async () => {
    expect(await probeWhile((request) => request.socket.destroy())).toMatchObject({ why: "connection closed" });
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    expect(await probeOllama(`http://127.0.0.1:${port}`)).toMatchObject({ why: "connection refused" });
  });
});
