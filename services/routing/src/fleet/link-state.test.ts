import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { StatusSchema, WelcomeSchema } from "@drover/proto/drover/agent/v1/agent_pb";
import { RunnerState } from "@drover/proto/drover/fleet/v1/fleet_pb";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { keyOf } from "../testing/node-views.ts";
import { identityOf, type LinkEvent, type LinkState, reduceLink } from "./link-state.ts";

const CONNECTING: LinkState = { kind: "connecting", sinceMs: 0, failure: "" };

function welcomed(atMs: number, id = "id-a", routerSecret = "secret-1"): LinkEvent {
  return { kind: "welcomed", welcome: create(WelcomeSchema, { node: { id, name: "a" }, routerSecret }), atMs };
}

function told(atMs: number, status: MessageInitShape<typeof StatusSchema> = {}): LinkEvent {
  return { kind: "status", status: create(StatusSchema, status), atMs };
}

function lost(atMs: number, reason = "gone"): LinkEvent {
  return { kind: "lost", reason, atMs };
}

function after(...events: readonly LinkEvent[]): LinkState {
  return events.reduce(reduceLink, CONNECTING);
}

function attached(...events: readonly LinkEvent[]): LinkState & { kind: "attached" } {
  const state = after(welcomed(1), ...events);
  if (state.kind !== "attached") throw new Error(`the state is ${state.kind}`);
  return state;
}

const INVENTORY = { models: [{ name: "llama3.2:1b" }], isComplete: true };
const LOAD = { runners: [{ model: "llama3.2:1b", state: RunnerState.LOADED }], active: 2 };

describe("what is known of an endpoint", () => {
  it("begins with nothing but the time, and remembers why the last try failed", () => {
    expect(after(lost(500, "refused"))).toEqual({ kind: "connecting", sinceMs: 0, failure: "refused" });
    expect(identityOf(after(lost(500)))).toBeUndefined();
  });

  it("knows the node from its welcome on, and its parts as they are told", () => {
    const state = attached(told(2, { condition: { isOllamaReachable: true } }), told(3, { inventory: INVENTORY }));
    expect(identityOf(state)?.id).toBe("id-a");
    expect(state.known.parts.condition?.isOllamaReachable).toBe(true);
    expect([...state.known.models.keys()]).toEqual([keyOf("llama3.2:1b")]);
    expect(state.heardMs).toBe(3);
  });

  it("replaces a part that is told anew as a whole, and keeps the others", () => {
    const state = attached(
      told(2, { inventory: INVENTORY, load: LOAD }),
      told(3, { inventory: { models: [{ name: "qwen3:4b" }] } }),
    );
    expect([...state.known.models.keys()]).toEqual([keyOf("qwen3:4b")]);
    expect(state.known.parts.inventory?.isComplete).toBe(false);
    expect(state.known.parts.load?.active).toBe(2);
    expect([...state.known.loadedModels]).toEqual([keyOf("llama3.2:1b")]);
  });

  it("costs nothing to keep while only heartbeats come", () => {
    const before = attached(told(2, { inventory: INVENTORY, load: LOAD }));
    const state = reduceLink(before, told(3));
    expect(state).toMatchObject({ kind: "attached", heardMs: 3 });
    expect(state.kind === "attached" && state.known).toBe(before.known);
  });

  it("takes only runners that are loaded for loaded models", () => {
    const runners = [
      { model: "a:1", state: RunnerState.LOADING },
      { model: "b:1", state: RunnerState.CLOSING },
      { model: "c:1", state: RunnerState.LOADED },
      { model: "no name!", state: RunnerState.LOADED },
    ];
    expect([...attached(told(2, { load: { runners } })).known.loadedModels]).toEqual([keyOf("c:1")]);
  });

  it("knows of each runner with which options it was loaded, and how much fits into it", () => {
    const runners = [
      { model: "a", state: RunnerState.CLOSING, slots: 2, active: 1, contextLength: 4_096 },
      { model: "a:latest", state: RunnerState.LOADING, runnerOptionsJson: '{"num_ctx":9}', queued: 3 },
      { model: "b", state: RunnerState.UNSPECIFIED, contextLength: 7 },
      { model: "c", otherModels: ["d", "no name!"], state: RunnerState.LOADED },
    ];
    const shared = { optionsJson: "", state: "loaded", slots: 1, active: 0, queued: 0, contextLength: 0 };
    expect([...attached(told(2, { load: { runners } })).known.runners]).toEqual([
      [
        keyOf("a"),
        [
          { optionsJson: "", state: "closing", slots: 2, active: 1, queued: 0, contextLength: 4_096 },
          { optionsJson: '{"num_ctx":9}', state: "loading", slots: 1, active: 0, queued: 3, contextLength: 0 },
        ],
      ],
      [keyOf("c"), [shared]],
      [keyOf("d"), [shared]],
    ]);
  });

  it("leaves out cloud models and names that break Ollama's rules", () => {
    const models = [
      { name: "gpt-oss:120b-cloud", remoteHost: "https://ollama.com" },
      { name: "no name!" },
      { name: "ok" },
    ];
    expect([...attached(told(2, { inventory: { models } })).known.models.keys()]).toEqual([keyOf("ok")]);
  });

  it("remembers the acknowledged sends", () => {
    expect(attached(told(2, { ackedSend: 17n })).ackedSend).toBe(17);
  });

  it("is silent until the next word", () => {
    const silent = attached(told(2), { kind: "silent", atMs: 5_000 });
    expect(silent.isSilent).toBe(true);
    expect(reduceLink(silent, told(6_000))).toMatchObject({ isSilent: false, heardMs: 6_000 });
  });

  it("outlives the loss of the stream, with the models of a node that is away", () => {
    const state = after(welcomed(1), told(2, { inventory: INVENTORY }), lost(10, "first"), lost(20, "second"));
    expect(state).toMatchObject({ kind: "lost", sinceMs: 10, reason: "second" });
    expect(state.kind === "lost" && state.known.models.size).toBe(1);
    expect(identityOf(state)?.id).toBe("id-a");
  });

  it("begins anew with a new stream: nothing of the old one is believed", () => {
    const state = attached(
      told(2, { inventory: INVENTORY, load: LOAD, ackedSend: 9n }),
      lost(10),
      welcomed(20, "id-b", "secret-2"),
    );
    expect(state).toMatchObject({ routerSecret: "secret-2", ackedSend: 0, isSilent: false, heardMs: 20 });
    expect(state.known.parts).toMatchObject({ condition: undefined, inventory: undefined, load: undefined });
    expect(state.known.models.size).toBe(0);
  });

  it("is no node when its welcome does not say which", () => {
    const state = after(welcomed(5, ""));
    expect(state).toMatchObject({ kind: "connecting", sinceMs: 5 });
    expect(reduceLink(state, told(6)).kind).toBe("connecting");
  });

  it("ignores what comes without a stream", () => {
    expect(after(told(1))).toBe(CONNECTING);
    expect(after({ kind: "silent", atMs: 1 })).toBe(CONNECTING);
    const away = after(welcomed(1), lost(2));
    expect(reduceLink(away, told(3))).toBe(away);
  });

  it("agrees with the plain story of the last stream, whatever happened", () => {
    const event: fc.Arbitrary<"welcomed" | "condition" | "inventory" | "load" | "heartbeat" | "silent" | "lost"> =
      fc.constantFrom("welcomed", "condition", "inventory", "load", "heartbeat", "silent", "lost");
    fc.assert(
      fc.property(fc.array(event, { maxLength: 30 }), (kinds) => {
        const state = kinds.map((kind, index) => eventOf(kind, index + 1)).reduce(reduceLink, CONNECTING);
        const lastWelcome = kinds.lastIndexOf("welcomed");
        if (lastWelcome === -1) {
          expect(state.kind).toBe("connecting");
          return;
        }
        const story = kinds.slice(lastWelcome);
        expect(state.kind).toBe(story.includes("lost") ? "lost" : "attached");
        if (state.kind === "connecting") return;
        const heard = story.includes("lost") ? story.slice(0, story.indexOf("lost")) : story;
        for (const part of ["condition", "inventory", "load"] as const) {
          expect(state.known.parts[part] !== undefined).toBe(heard.includes(part));
        }
        if (state.kind === "attached") {
          const lastWord = story.findLastIndex((kind) => kind !== "silent");
          expect(state.isSilent).toBe(lastWord !== story.length - 1);
          expect(state.heardMs).toBe(lastWelcome + lastWord + 1);
        }
      }),
    );
  });
});

function eventOf(kind: string, atMs: number): LinkEvent {
  switch (kind) {
    case "welcomed":
      return welcomed(atMs);
    case "condition":
      return told(atMs, { condition: { isOllamaReachable: true } });
    case "inventory":
      return told(atMs, { inventory: INVENTORY });
    case "load":
      return told(atMs, { load: LOAD });
    case "silent":
      return { kind: "silent", atMs };
    case "lost":
      return lost(atMs);
    default:
      return told(atMs);
  }
}
