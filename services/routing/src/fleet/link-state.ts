/**
 * What is known of one endpoint through its Attach stream, as a pure reducer. It knows neither sockets nor timers:
 * events carry their time.
 */
import type { Status, Welcome } from "@drover/proto/drover/agent/v1/agent_pb";
import type { NodeIdentity } from "@drover/proto/drover/fleet/v1/fleet_pb";
import { type ModelView, type NodeParts, viewModels } from "./node-view.ts";
import { loadedModelsOf, type RunnerView, viewRunners } from "./runner-view.ts";

export type LinkEvent =
  | { readonly kind: "welcomed"; readonly welcome: Welcome; readonly atMs: number }
  | { readonly kind: "status"; readonly status: Status; readonly atMs: number }
  | { readonly kind: "silent"; readonly atMs: number }
  /** `reason` in plain words; no address, since operators see the endpoint beside it. */
  | { readonly kind: "lost"; readonly reason: string; readonly atMs: number };

/** What outlives a lost stream, so that a node that is away can still be named with its models. */
export interface LastKnown {
  readonly parts: NodeParts;
  readonly models: ReadonlyMap<string, ModelView>;
  readonly runners: ReadonlyMap<string, readonly RunnerView[]>;
  readonly loadedModels: ReadonlySet<string>;
}

export type LinkState =
  /** Discovered, never answered. `failure` is why the last try failed, empty before the first. */
  | { readonly kind: "connecting"; readonly sinceMs: number; readonly failure: string }
  | {
      readonly kind: "attached";
      readonly routerSecret: string;
      readonly heardMs: number;
      readonly isSilent: boolean;
      readonly ackedSend: number;
      readonly known: LastKnown;
    }
  /** Answered once and is away now. */
  | { readonly kind: "lost"; readonly sinceMs: number; readonly reason: string; readonly known: LastKnown };

export function reduceLink(state: LinkState, event: LinkEvent): LinkState {
  switch (event.kind) {
    case "welcomed":
      return welcomed(event.welcome, event.atMs);
    case "status":
      return state.kind === "attached" ? applyStatus(state, event.status, event.atMs) : state;
    case "silent":
      return state.kind === "attached" ? { ...state, isSilent: true } : state;
    case "lost":
      return lost(state, event.reason, event.atMs);
  }
}

/** A new stream starts from nothing: its first status has all parts. */
function welcomed(welcome: Welcome, atMs: number): LinkState {
  const identity = welcome.node;
  if (identity === undefined || identity.id === "") {
    return { kind: "connecting", sinceMs: atMs, failure: "it answers, but does not say which node it is" };
  }
  return {
    kind: "attached",
    routerSecret: welcome.routerSecret,
    heardMs: atMs,
    isSilent: false,
    ackedSend: 0,
    known: knownOf({ identity, condition: undefined, inventory: undefined, load: undefined }),
  };
}

function applyStatus(state: LinkState & { kind: "attached" }, status: Status, atMs: number): LinkState {
  const before = state.known;
  const hasNews = status.condition !== undefined || status.inventory !== undefined || status.load !== undefined;
  return {
    ...state,
    heardMs: atMs,
    isSilent: false,
    ackedSend: Number(status.ackedSend),
    known: hasNews ? mergeStatus(before, status) : before,
  };
}

function mergeStatus(before: LastKnown, status: Status): LastKnown {
  const runners = status.load === undefined ? before.runners : viewRunners(status.load);
  return {
    parts: {
      identity: before.parts.identity,
      condition: status.condition ?? before.parts.condition,
      inventory: status.inventory ?? before.parts.inventory,
      load: status.load ?? before.parts.load,
    },
    models: status.inventory === undefined ? before.models : viewModels(status.inventory),
    runners,
    loadedModels: runners === before.runners ? before.loadedModels : loadedModelsOf(runners),
  };
}

function lost(state: LinkState, reason: string, atMs: number): LinkState {
  switch (state.kind) {
    // Tries fail again and again; only a new reason is news.
    case "connecting":
      return state.failure === reason ? state : { ...state, failure: reason };
    case "attached":
      return { kind: "lost", sinceMs: atMs, reason, known: state.known };
    case "lost":
      return state.reason === reason ? state : { ...state, reason };
  }
}

function knownOf(parts: NodeParts): LastKnown {
  const runners = viewRunners(parts.load);
  return { parts, models: viewModels(parts.inventory), runners, loadedModels: loadedModelsOf(runners) };
}

/** The identity that this endpoint told, if it ever did. */
export function identityOf(state: LinkState): NodeIdentity | undefined {
  return state.kind === "connecting" ? undefined : state.known.parts.identity;
}
