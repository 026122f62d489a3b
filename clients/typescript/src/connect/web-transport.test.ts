import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { Health, HealthCheckResponse_ServingStatus } from "@drover/proto/grpc/health/v1/health_pb";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ConnectOptions } from "./connect-options.ts";
import { closedUrl } from "./testing/http2-router.ts";
import { openWebTransport } from "./web-transport.ts";

const { SERVING, NOT_SERVING } = HealthCheckResponse_ServingStatus;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  vi.unstubAllGlobals();
  for (const end of ends.splice(0).reverse()) await end();
});

/** gRPC-Web over HTTP/1.1, as a page finds a router. */
async function openRouter(status = SERVING) {
  let calls = 0;
  const check = () => {
    calls += 1;
    return { status };
  };
  async function* watch() {
    yield { status };
    await new Promise(() => undefined);
  }
  const server = createServer(connectNodeAdapter({ routes: (router) => router.service(Health, { check, watch }) }));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls: () => calls };
}

function clientOf(options: ConnectOptions) {
  const { transport, close } = openWebTransport(options);
  ends.push(close);
  return createClient(Health, transport);
}

async function failureOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => expect.fail("it did not fail"),
    (error: unknown) => ConnectError.from(error),
  );
}

const reasonOf = (error: ConnectError): string | undefined => error.findDetails(ErrorInfoSchema)[0]?.reason;

describe("over fetch", () => {
  it("a call reaches its router without a question before it", async () => {
    const { url, calls } = await openRouter();
    expect((await clientOf({ address: url }).check({})).status).toBe(SERVING);
    expect(calls()).toBe(1);
  });

  it("a call goes to a router that answered a health check, and not to one that did not or is not serving", async () => {
    const good = await openRouter();
    const stopping = await openRouter(NOT_SERVING);
    for (let client = 0; client < 6; client++) {
      const calling = clientOf({ address: [await closedUrl(), stopping.url, good.url] });
      expect((await calling.check({})).status).toBe(SERVING);
      expect((await calling.check({})).status).toBe(SERVING);
    }
  });

  it("a call fails as unreachable where nobody listens, with all the routers' names", async () => {
    const dead = await closedUrl();
    const alone = await failureOf(clientOf({ address: dead }).check({}));
    expect([alone.code, reasonOf(alone)]).toEqual([Code.Unavailable, "ROUTER_UNREACHABLE"]);
    expect(alone.rawMessage).toContain(`${dead}: connection refused`);
    const two = await failureOf(clientOf({ address: [dead, `${dead}/other`] }).check({}));
    expect(two.rawMessage).toMatch(/None of 2 routers .*: it did not answer a health check; .*: it did not answer/);
  });

  it("a network that says nothing of itself, as in browsers, is told as such and nothing is sent again", async () => {
    let asked = 0;
    vi.stubGlobal("fetch", () => {
      asked += 1;
      return Promise.reject(new TypeError("Failed to fetch"));
    });
    const failure = await failureOf(clientOf({ address: "http://router.example" }).check({}));
    expect(reasonOf(failure)).toBe("ROUTER_UNREACHABLE");
    expect(failure.rawMessage).toMatch(/could not be reached, or the call was lost on its way: .*--cors-origin/);
    expect(asked).toBe(1);
  });

  it("an answer that breaks off after its first message is lost", async () => {
    const { url } = await openRouter();
    const watch = clientOf({ address: url }).watch({})[Symbol.asyncIterator]();
    await watch.next();
    const rest = failureOf(watch.next());
    ends.pop();
    for (const end of ends.splice(0)) await end();
    expect(reasonOf(await rest)).toBe("CONNECTION_LOST");
  });

  it("what needs Node is refused at once, all of it", () => {
    const options = { address: ["consul://drover-router", "dns:///routers"], tls: { ca: "x" } };
    expect(() => openWebTransport(options)).toThrow(
      /^consul: addresses need Node, .* dns: addresses need Node, .* tls is for Node/,
    );
  });

  it("a token is not sent to another machine in the clear", () => {
    expect(() => openWebTransport({ address: "http://router.example", token: "t" })).toThrow(/in the clear/);
  });
});
