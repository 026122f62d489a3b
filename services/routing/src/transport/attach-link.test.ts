import { createServer } from "node:http";
import { createServer as createTcpServer, type Server } from "node:net";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  DroverError,
  type Listener,
  openListener,
  SimClock,
  seededRng,
  silentLogger,
  systemClock,
} from "@drover/platform";
import { AgentService, type AttachResponseSchema } from "@drover/proto/drover/agent/v1/agent_pb";
import { describe, expect, it, vi } from "vitest";
import type { LinkEvent } from "../fleet/link-state.ts";
import { openAttachLink } from "./attach-link.ts";

type Answer = MessageInitShape<typeof AttachResponseSchema>;

function listen(attach: (signal: AbortSignal) => AsyncIterable<Answer>): Promise<Listener> {
  return openListener({
    listen: "127.0.0.1:0",
    isInsecureAllowed: false,
    allowHosts: [],
    corsOrigins: [],
    log: silentLogger,
    clock: systemClock,
    routes: (router) => router.service(AgentService, { attach: (_requests, { signal }) => attach(signal) }),
  });
}

it("attaches anew when the stream has been silent for 10 s, as after a machine lost its power", async () => {
  let streams = 0;
  const speak = Promise.withResolvers<void>();
  const listener = await listen(async function* (signal) {
    streams++;
    yield { event: { case: "welcome", value: { node: { id: "one" } } } };
    await speak.promise;
    yield { event: { case: "status", value: { sequence: 1n } } };
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  });
  const clock = new SimClock();
  const events: LinkEvent["kind"][] = [];
  const lost: string[] = [];
  const link = openAttachLink(
    { clock, rng: seededRng(1), routerName: "r", incarnation: "i", version: "0" },
    listener.address,
    (event) => {
      events.push(event.kind);
      if (event.kind === "lost") lost.push(event.reason);
    },
  );
  try {
    await vi.waitUntil(() => events.includes("welcomed"));
    await clock.advanceAsync(9_000);
    speak.resolve();
    await vi.waitUntil(() => events.includes("status"));
    await clock.advanceAsync(9_900);
    expect(events).toEqual(["welcomed", "status"]);
    await clock.advanceAsync(100);
    await vi.waitUntil(() => events.includes("lost"));
    await clock.advanceAsync(100);
    await vi.waitUntil(() => events.filter((kind) => kind === "welcomed").length === 2);
    expect(streams).toBe(2);
    expect(lost).toEqual(["its agent has been silent for 10 s"]);
  } finally {
    link.close();
    listener.destroy();
  }
  await vi.waitUntil(() => clock.pendingCount === 0);
});

/** Listens on a free port of this machine; resolves with host:port. */
async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return typeof address === "object" && address !== null ? `127.0.0.1:${address.port}` : "";
}

const strangers = {
  "an HTTP/1.1 server": createServer((_, response) => response.end("hello")),
  "a program that closes at once": createTcpServer((socket) => socket.end()),
  "a program that says nothing": createTcpServer((socket) => socket.on("error", () => undefined)),
  "a program that talks first": createTcpServer((socket) => socket.on("error", () => undefined).end("220 mail\r\n")),
};

// A listener that is taken off too early shows as an uncaught error, which fails the run.
it.each(Object.entries(strangers))("says that %s is no agent, and survives it", async (_, server) => {
  const clock = new SimClock();
  const failures: string[] = [];
  const endpoint = await listening(server);
  const link = openAttachLink(
    { clock, rng: seededRng(1), routerName: "r", incarnation: "i", version: "0" },
    endpoint,
    (event) => void failures.push(event.kind === "lost" ? event.reason : event.kind),
  );
  try {
    await vi.waitUntil(
      async () => {
        await clock.advanceAsync(1_000);
        return failures.length >= 3;
      },
      { interval: 10 },
    );
    expect(new Set(failures)).toEqual(new Set(["no Drover agent answers at its endpoint"]));
  } finally {
    link.close();
    server.close();
  }
});

it("says so when nothing listens", async () => {
  const server = createTcpServer();
  const endpoint = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  const reasons: string[] = [];
  const link = openAttachLink(
    { clock: new SimClock(), rng: seededRng(1), routerName: "r", incarnation: "i", version: "0" },
    endpoint,
    (event) => void reasons.push(event.kind === "lost" ? event.reason : event.kind),
  );
  await vi.waitUntil(() => reasons.length > 0);
  link.close();
  expect(reasons).toEqual(["nothing listens at its endpoint: is drover-agent running there?"]);
});

describe("the reason of a lost stream", () => {
  async function reasonWith(attach: () => AsyncIterable<Answer>, kill?: Promise<void>): Promise<string> {
    const listener = await listen(attach);
    const link = { clock: new SimClock(), rng: seededRng(1), routerName: "r", incarnation: "i", version: "0" };
    const { promise, resolve } = Promise.withResolvers<string>();
    const opened = openAttachLink(link, listener.address, (event) => {
      if (event.kind === "lost") resolve(event.reason);
    });
    void kill?.then(() => listener.destroy());
    const reason = await promise;
    opened.close();
    listener.destroy();
    return reason;
  }

  it("is in the agent's words when it refused", async () => {
    const reason = await reasonWith(() => {
      throw new ConnectError("The agent stops.", Code.Unavailable);
    });
    expect(reason).toBe("its agent ended the connection: The agent stops.");
  });

  it("says no more than that it was lost when the process died", async () => {
    const welcomed = Promise.withResolvers<void>();
    const reason = await reasonWith(async function* () {
      yield { event: { case: "welcome", value: { node: { id: "one" } } } };
      setTimeout(welcomed.resolve, 50);
      await new Promise(() => undefined);
    }, welcomed.promise);
    expect(reason).toBe("the connection to its agent was lost");
  });

  it("tells a router from an agent", async () => {
    const reason = await reasonWith(() => {
      throw new DroverError("not_implemented", "This Drover has no method Attach.");
    });
    expect(reason).toBe("a Drover answers at its endpoint that is no agent: is it a router?");
  });
});
