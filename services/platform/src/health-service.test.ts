import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Health, HealthCheckResponse_ServingStatus as Status } from "@drover/proto/grpc/health/v1/health_pb";
import { afterEach, describe, expect, it } from "vitest";
import { HealthRegistry } from "./health-service.ts";
import { openTestListener, type TestListener } from "./listener/listener.fixture.ts";

const opened: TestListener[] = [];
afterEach(async () => {
  for (const listener of opened.splice(0)) {
    listener.destroy();
    await listener.drain();
  }
});

async function create(options?: ConstructorParameters<typeof HealthRegistry>[0]) {
  const registry = new HealthRegistry(options);
  const listener = await openTestListener({}, registry);
  opened.push(listener);
  const client = createClient(Health, createGrpcTransport({ baseUrl: listener.url }));
  return { registry, client, listener };
}

describe("Check and List", () => {
  it("tell each service's state", async () => {
    const { registry, client } = await create();
    registry.set("", true);
    registry.set("a.v1.A", false);
    expect((await client.check({})).status).toBe(Status.SERVING);
    expect((await client.check({ service: "a.v1.A" })).status).toBe(Status.NOT_SERVING);
    expect((await client.list({})).statuses).toMatchObject({
      "": { status: Status.SERVING },
      "a.v1.A": { status: Status.NOT_SERVING },
    });
  });

  it("do not know a service that nobody set", async () => {
    const error = await (await create()).client.check({ service: "x" }).catch(ConnectError.from);
    expect(error).toMatchObject({ code: Code.NotFound });
  });
});

describe("Watch", () => {
  function watch(client: Awaited<ReturnType<typeof create>>["client"], service: string) {
    const controller = new AbortController();
    const stream = client.watch({ service }, { signal: controller.signal })[Symbol.asyncIterator]();
    return { next: async () => (await stream.next()).value?.status, stop: () => controller.abort(), stream };
  }

  it("tells the state now, then each change, and an unknown service when it appears", async () => {
    const { registry, client } = await create();
    const { next, stop } = watch(client, "a");
    expect(await next()).toBe(Status.SERVICE_UNKNOWN);
    registry.set("a", true);
    expect(await next()).toBe(Status.SERVING);
    const change = next();
    registry.set("a", true);
    registry.set("other", true);
    registry.set("a", false);
    expect(await change).toBe(Status.NOT_SERVING);
    stop();
    await expect.poll(() => registry.watcherCount).toBe(0);
  });

  it("tells a slow reader the newest state, not a queue of old ones", async () => {
    const { registry, client } = await create();
    registry.set("a", true);
    const { next, stop } = watch(client, "a");
    expect(await next()).toBe(Status.SERVING);
    for (let turn = 0; turn < 1000; turn++) registry.set("a", turn % 2 === 0);
    expect(await next()).toBe(Status.NOT_SERVING);
    stop();
    await expect.poll(() => registry.watcherCount).toBe(0);
  });

  it("ends with the program, after telling that nothing serves", async () => {
    const { registry, client, listener } = await create();
    registry.set("a", true);
    const { next, stream } = watch(client, "a");
    await next();
    const drained = listener.drain();
    registry.shutdown();
    registry.set("a", true);
    expect(await next()).toBe(Status.NOT_SERVING);
    await expect(stream.next()).rejects.toMatchObject({ code: Code.Unavailable });
    expect(registry.watcherCount).toBe(0);
    await drained;
  });

  it("forgets a caller that left while nobody read", async () => {
    const registry = new HealthRegistry();
    const client = createClient(
      Health,
      createRouterTransport((router) => registry.routes(router)),
    );
    const { next, stop } = watch(client, "a");
    await next();
    stop();
    await expect.poll(() => registry.watcherCount).toBe(0);
  });

  it("takes no more watchers than its limit", async () => {
    const { registry, client } = await create({ watchersLimit: 1 });
    const first = watch(client, "a");
    await first.next();
    await expect(watch(client, "a").next()).rejects.toMatchObject({ code: Code.ResourceExhausted });
    first.stop();
    await expect.poll(() => registry.watcherCount).toBe(0);
  });
});
