import type { ServerHttp2Stream } from "node:http2";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { DroverError as Ending, type EndingKind, seededRng, toGrpcTrailers } from "@drover/platform";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { Health } from "@drover/proto/grpc/health/v1/health_pb";
import { afterEach, describe, expect, it } from "vitest";
import { createDroverClient } from "../../index.ts";
import type { ConnectOptions } from "../connect-options.ts";
import { answerServing, answerStatus, type Http2Router, openHttp2Router } from "../testing/http2-router.ts";
import { openNodeTransport } from "./node-transport.ts";

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

function keep<Closable extends { close(): unknown }>(each: Closable): Closable {
  opened.push(each);
  return each;
}

const router = async (handler = answerServing as (stream: ServerHttp2Stream) => unknown): Promise<Http2Router> =>
  keep(await openHttp2Router(handler));

/** As a router says it of a call that made so many attempts. */
function trailersOf(kind: EndingKind, attempts: string | undefined): Record<string, string> {
  const trailers = toGrpcTrailers(new Ending(kind, `It is ${kind}.`)) as Record<string, string>;
  return attempts === undefined ? trailers : { ...trailers, "drover-attempts": attempts };
}

const says = (kind: EndingKind, attempts?: string) =>
  router((stream) => answerStatus(stream, trailersOf(kind, attempts)));

type Calling = ReturnType<typeof createClient<typeof Health>>;

const checks = (client: Calling): Promise<unknown> => client.check({}, { headers: { "drover-max-wait-ms": "5000" } });

async function watches(client: Calling): Promise<void> {
  for await (const message of client.watch({})) expect(message.status).toBe(1);
}

/** A call of a client whose first router is `first`: the order is drawn, so another client is made until it is. */
async function callFirst(
  first: Http2Router,
  others: readonly Http2Router[],
  { call = checks, ...options }: ConnectOptions & { readonly call?: typeof checks } = {},
) {
  const address = [first, ...others].map(({ url }) => url);
  for (let seed = 0; seed < 100; seed++) {
    const { transport } = keep(openNodeTransport({ ...options, address }, { rng: seededRng(seed) }));
    const outcome = await call(createClient(Health, transport)).then(
      () => "OK" as const,
      (error: unknown) => ConnectError.from(error),
    );
    if (first.calls.length > 0) return outcome;
  }
  return expect.fail("no client began with the first router");
}

describe("a router that answers with an error", () => {
  it.each([
    ["router_stopping", "0"],
    ["router_stopping", undefined],
    ["fleet_not_ready", "0"],
  ] as const)("%s after %s attempts did not run the call: another router gets it", async (kind, attempts) => {
    const good = await router();
    expect(await callFirst(await says(kind, attempts), [good])).toBe("OK");
  });

  it.each([
    // It may have run at the node that was tried.
    ["router_stopping", "1"],
    ["fleet_not_ready", "2"],
    // The fleet would say the same through another router.
    ["no_node_available", "0"],
    ["queue_full", "0"],
    ["overloaded", "0"],
    ["model_not_found", "0"],
    ["node_unreachable", "0"],
    ["deadline_exceeded", "0"],
    ["internal", undefined],
  ] as const)("%s after %s attempts is the answer", async (kind, attempts) => {
    const good = await router();
    const bad = await says(kind, attempts);
    const outcome = await callFirst(bad, [good]);
    expect(outcome).toBeInstanceOf(ConnectError);
    expect((outcome as ConnectError).findDetails(ErrorInfoSchema)[0]?.reason).toBe(kind.toUpperCase());
    expect(bad.calls).toHaveLength(1);
  });

  it("before any message is understood in the form of connect's servers too, headers and then trailers", async () => {
    const good = await router();
    const stopping = await router((stream) => {
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.once("wantTrailers", () => stream.sendTrailers(trailersOf("router_stopping", "0")));
      stream.end();
    });
    expect(await callFirst(stopping, [good], { call: watches })).toBe("OK");
    expect(good.calls.length).toBeGreaterThan(0);
  });

  it("keeps its own words when every router says so", async () => {
    const outcome = await callFirst(await says("router_stopping", "0"), [await says("router_stopping", "0")]);
    expect(outcome).toMatchObject({ code: Code.Unavailable, rawMessage: "It is router_stopping." });
  });

  it("leaves the next router only what is left of the time for the first token", async () => {
    const good = await router();
    const slow = await router((stream) => {
      setTimeout(() => answerStatus(stream, trailersOf("fleet_not_ready", "0")), 300);
    });
    expect(await callFirst(slow, [good])).toBe("OK");
    const leftMs = Number(good.calls.at(-1)?.["drover-max-wait-ms"]);
    expect(slow.calls[0]?.["drover-max-wait-ms"]).toBe("5000");
    expect(leftMs).toBeLessThanOrEqual(4_700);
    expect(leftMs).toBeGreaterThan(0);
  });

  it("is named when the deadline passes at the next one", async () => {
    const silent = await router(() => undefined);
    const call: typeof checks = (client) => client.check({}, { timeoutMs: 600 });
    const outcome = await callFirst(await says("router_stopping", "0"), [silent], { call });
    expect(outcome).toMatchObject({ code: Code.DeadlineExceeded });
    expect(String(outcome)).toMatch(/before router \S+ answered\. Before that: \S+: it is stopping\./);
  });

  it("is called with the same token as the next one: the caller is asked once for each call", async () => {
    const good = await router();
    const stopping = await says("router_stopping", "0");
    let asked = 0;
    await callFirst(stopping, [good], { token: () => `token-${asked++}` });
    expect(stopping.calls[0]?.authorization).toBe(good.calls.at(-1)?.authorization);
    expect(asked).toBe(good.calls.length);
  });
});

describe("what a caller says of a call", () => {
  it("reaches the router as it was said, whether the router acts on it or not", async () => {
    const { url, calls } = await router((stream) => answerStatus(stream, trailersOf("model_not_found", "0")));
    const client = createDroverClient({ address: url, token: "abc", headers: { "x-team": "blue" } });
    opened.push(client);
    const options = {
      session: "s-1",
      tenant: "acme",
      class: "batch",
      labels: { gpu: "a100", zone: "eu" },
      node: "one",
      maxWaitMs: 1234,
      timeoutMs: 60_000,
      why: true,
      headers: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x-own-bin": "AAE" },
    } as const;
    await expect(client.generate({ model: "m", prompt: "p" }, options).text()).rejects.toMatchObject({
      reason: "MODEL_NOT_FOUND",
    });
    await expect(client.embed({ model: "m", input: "p" }, options)).rejects.toThrow();
    for (const headers of calls) {
      expect(headers).toMatchObject({
        "drover-session": "s-1",
        "drover-tenant": "acme",
        "drover-class": "batch",
        "drover-labels": "gpu=a100,zone=eu",
        "drover-node": "one",
        "drover-max-wait-ms": "1234",
        "drover-why": "1",
        "x-team": "blue",
        "x-own-bin": "AAE",
        traceparent: options.headers.traceparent,
        authorization: "Bearer abc",
        "grpc-timeout": expect.stringMatching(/^\d{5}m$/),
      });
    }
    expect(calls.map((headers) => headers[":path"])).toEqual([
      "/drover.inference.v1.InferenceService/Generate",
      "/drover.inference.v1.InferenceService/Embed",
    ]);
  });
});
