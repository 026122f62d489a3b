import { createServer } from "node:http";
import { createServer as createTcpServer, type Server } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { openListener, SimClock, seededRng, silentLogger, systemClock } from "@drover/platform";
import { AgentService, AttachResponseSchema } from "@drover/proto/drover/agent/v1/agent_pb";
import { expect, it, vi } from "vitest";
import type { LinkEvent } from "../fleet/link-state.ts";
import { openAttachLink } from "./attach-link.ts";

type Answer = MessageInitShape<typeof AttachResponseSchema>;

it("attaches anew when the stream has been silent for 10 s, as after a machine lost its power", async () => {
  let streams = 0;
  const speak = Promise.withResolvers<void>();
  const listener = await openListener({
    listen: "127.0.0.1:0",
    isInsecureAllowed: false,
    allowHosts: [],
    corsOrigins: [],
    log: silentLogger,
    clock: systemClock,
    routes: (router) =>
      router.service(AgentService, {
        async *attach(_requests, { signal }) {
          streams++;
          const answers: Answer[] = [
            { event: { case: "welcome", value: { node: { id: "one" } } } },
            { event: { case: "status", value: { sequence: 1n } } },
          ];
          for (const [index, answer] of answers.entries()) {
            if (index > 0) await speak.promise;
            yield create(AttachResponseSchema, answer);
          }
          await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
        },
      }),
  });
  const clock = new SimClock();
  const events: LinkEvent["kind"][] = [];
  const link = openAttachLink(
    { clock, rng: seededRng(1), routerName: "r", incarnation: "i", version: "0" },
    listener.address,
    (event) => events.push(event.kind),
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
    (event) => failures.push(event.kind === "lost" ? event.reason : event.kind),
  );
  try {
    for (let tries = 1; tries <= 3; tries++) {
      await vi.waitUntil(() => failures.length === tries);
      await clock.advanceAsync(2_000);
    }
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
    (event) => reasons.push(event.kind === "lost" ? event.reason : event.kind),
  );
  await vi.waitUntil(() => reasons.length > 0);
  link.close();
  expect(reasons).toEqual(["nothing listens at its endpoint: is drover-agent running there?"]);
});
