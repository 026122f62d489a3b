import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Listener, openListener, SimClock, silentLogger, systemClock } from "@drover/platform";
import { AgentService, type AttachRequest, AttachResponseSchema } from "@drover/proto/drover/agent/v1/agent_pb";
import { afterEach, describe, expect, it } from "vitest";
import type { LinkEvent } from "../fleet/link-state.ts";
import { quiet, until } from "../testing/recording-listener.ts";
import { type AttachLinkOptions, openAttachLink } from "./attach-link.ts";
import { closedEndpoint, openRawPort } from "./testing/http2-node.ts";

type Answer = MessageInitShape<typeof AttachResponseSchema>;

const WELCOME: Answer = { event: { case: "welcome", value: { node: { id: "one", name: "a" }, routerSecret: "s" } } };
const STATUS: Answer = { event: { case: "status", value: { sequence: 1n, ackedSend: 3n } } };

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** An agent that sends these answers and then holds the stream; with `isBrief` it ends the stream instead. */
class FakeAgent {
  readonly requests: AttachRequest[] = [];
  begun = 0;
  open = 0;
  answers: readonly Answer[] = [WELCOME, STATUS];
  isBrief = false;
  readonly #listener: Listener;

  private constructor(listener: (agent: FakeAgent) => Listener) {
    this.#listener = listener(this);
  }

  static async listen(): Promise<FakeAgent> {
    let agent: FakeAgent | undefined;
    const listener = await openListener({
      listen: "127.0.0.1:0",
      isInsecureAllowed: false,
      allowHosts: [],
      corsOrigins: [],
      log: silentLogger,
      clock: systemClock,
      routes: (router) =>
        router.service(AgentService, {
          attach: (requests, { signal }) => mustBe(agent).#attach(requests, signal),
        }),
    });
    agent = new FakeAgent(() => listener);
    closers.push(() => listener.destroy());
    return agent;
  }

  get endpoint(): string {
    return this.#listener.address;
  }

  async *#attach(requests: AsyncIterable<AttachRequest>, signal: AbortSignal) {
    this.begun++;
    this.open++;
    signal.addEventListener("abort", () => this.open--, { once: true });
    void this.#collect(requests);
    for (const answer of this.answers) yield create(AttachResponseSchema, answer);
    if (!this.isBrief) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  }

  async #collect(requests: AsyncIterable<AttachRequest>): Promise<void> {
    try {
      for await (const request of requests) this.requests.push(request);
    } catch {
      // The router left.
    }
  }
}

function mustBe<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("it is not there yet");
  return value;
}

/** Every pause is as long as it may be. */
function open(endpoint: string, rest: Partial<AttachLinkOptions> = {}) {
  const clock = new SimClock();
  const events: LinkEvent[] = [];
  const link = openAttachLink(
    { clock, rng: { next: () => 1 - 1e-9 }, routerName: "router-1", incarnation: "i-1", version: "0.1.0", ...rest },
    endpoint,
    (event) => events.push(event),
  );
  closers.push(() => link.close());
  const kinds = () => events.map((event) => event.kind);
  return { clock, events, kinds, link };
}

describe("an Attach link", () => {
  it("says hello first, and reports the welcome and what the agent tells", async () => {
    const agent = await FakeAgent.listen();
    const { events, kinds } = open(agent.endpoint);
    expect(events).toEqual([]);
    await until(() => events.length === 2 && agent.requests.length === 1);
    expect(kinds()).toEqual(["welcomed", "status"]);
    expect(events[0]).toMatchObject({ welcome: { node: { id: "one", name: "a" }, routerSecret: "s" }, atMs: 0 });
    expect(events[1]).toMatchObject({ status: { sequence: 1n, ackedSend: 3n } });
    expect(agent.requests[0]?.event).toMatchObject({
      case: "hello",
      value: { router: "router-1", incarnation: "i-1", version: "0.1.0" },
    });
  });

  it("says nothing of events that it does not know or need", async () => {
    const agent = await FakeAgent.listen();
    agent.answers = [WELCOME, {}, { event: { case: "claim", value: {} } }, STATUS];
    const { events, kinds } = open(agent.endpoint);
    await until(() => events.length === 2);
    expect(kinds()).toEqual(["welcomed", "status"]);
  });

  it("keeps its request open, whose end would tell the agent that the router is gone", async () => {
    const agent = await FakeAgent.listen();
    const { events } = open(agent.endpoint);
    await until(() => events.length === 2);
    await quiet();
    expect(agent.open).toBe(1);
  });

  it("tries again with growing pauses while nothing listens", async () => {
    const { clock, kinds } = open(await closedEndpoint());
    const pauses: number[] = [];
    for (let tried = 1; tried <= 7; tried++) {
      await until(() => kinds().length === tried && clock.pendingCount === 1);
      const beganMs = clock.nowMs();
      while (kinds().length === tried) {
        await clock.advanceAsync(50);
        if (clock.pendingCount === 1 && kinds().length === tried) continue;
        await until(() => kinds().length > tried);
      }
      pauses.push(Math.round((clock.nowMs() - beganMs) / 50) * 50);
    }
    expect(pauses.slice(0, 6)).toEqual([200, 400, 800, 1_600, 2_000, 2_000]);
  });

  it("attaches again when the agent is back", async () => {
    const agent = await FakeAgent.listen();
    agent.isBrief = true;
    const { clock, events, kinds } = open(agent.endpoint);
    await until(() => kinds().includes("lost"));
    agent.isBrief = false;
    await clock.advanceAsync(200);
    await until(() => events.length === 5);
    expect(kinds()).toEqual(["welcomed", "status", "lost", "welcomed", "status"]);
  });

  it("gives up an agent that accepts and does not say welcome for 5 s", async () => {
    const agent = await FakeAgent.listen();
    agent.answers = [];
    const { clock, events } = open(agent.endpoint);
    await until(() => agent.begun === 1);
    await clock.advanceAsync(4_999);
    await quiet(5);
    expect(events).toEqual([]);
    await clock.advanceAsync(1);
    await until(() => events.length === 1);
    expect(events[0]).toMatchObject({ kind: "lost", reason: "no Drover agent answers at its endpoint" });
    await until(() => agent.open === 0);
  });

  it("gives up a port that accepts and says nothing for 5 s", async () => {
    const port = await openRawPort(() => undefined);
    closers.push(port.close);
    const { clock, events } = open(port.endpoint);
    await until(() => port.sockets.size === 1);
    await clock.advanceAsync(5_000);
    await until(() => events.length === 1);
    expect(events[0]).toMatchObject({ kind: "lost", reason: "no Drover agent answers at its endpoint" });
    await until(() => [...port.sockets].every((socket) => socket.destroyed));
  });

  it.each(["no host:50052", "127.0.0.1:99999"])("survives an endpoint that is no address: %j", async (endpoint) => {
    const { clock, events, kinds } = open(endpoint);
    await until(() => events.length === 1);
    expect(events[0]).toMatchObject({ kind: "lost", reason: "no Drover agent answers at its endpoint" });
    await clock.advanceAsync(200);
    await until(() => kinds().length === 2);
  });
});

describe("closing an Attach link", () => {
  it("ends its stream, its connection and its timers, and reports nothing", async () => {
    const agent = await FakeAgent.listen();
    const { clock, events, link } = open(agent.endpoint);
    await until(() => events.length === 2);
    link.close();
    await until(() => agent.open === 0 && clock.pendingCount === 0);
    await clock.advanceAsync(60_000);
    await quiet();
    expect(events.length).toBe(2);
    expect(agent.begun).toBe(1);
    link.close();
  });

  it.each([
    ["while it connects", async () => (await openSilentPort()).endpoint],
    ["while it pauses", closedEndpoint],
  ])("%s leaves nothing behind", async (_when, endpointOf) => {
    const { clock, events, link } = open(await endpointOf());
    await quiet();
    const reported = events.length;
    link.close();
    await until(() => clock.pendingCount === 0);
    await clock.advanceAsync(60_000);
    await quiet();
    expect(events.length).toBe(reported);
    expect(clock.pendingCount).toBe(0);
  });

  it("in the turn in which it was opened makes no trouble", async () => {
    const agent = await FakeAgent.listen();
    const { clock, events, link } = open(agent.endpoint);
    link.close();
    await until(() => clock.pendingCount === 0);
    await quiet();
    expect(events).toEqual([]);
    expect(agent.open).toBe(0);
  });
});

async function openSilentPort() {
  const port = await openRawPort(() => undefined);
  closers.push(port.close);
  return port;
}
