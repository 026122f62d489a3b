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
