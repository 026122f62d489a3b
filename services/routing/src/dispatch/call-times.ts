/**
 * Where the time of a call went, for its trailers, its log line and the message of a passed deadline.
 */
import { DroverError, encodeGrpcMessage, META, type Metadata, readMetadata } from "@drover/platform";
import type { NodeView } from "../fleet/node-view.ts";
import type { CallReport } from "./dispatcher.ts";
import { forwardedTrailers } from "./forwarded-metadata.ts";

export interface CallTimes {
  /** Time without a node, in ms. */
  readonly waitedMs: number;
  /** From the call's arrival to its first token, in ms. Undefined before it. */
  readonly firstTokenMs: number | undefined;
  readonly totalMs: number;
}

/** The agent's own trailers and the drover-* ones of a call; the router's waiting is added to what the agent said of its queue. */
export function reportTrailers({ request, node, attempts, times }: CallReport, agent: Metadata): Metadata {
  const queueMs = readMs(agent, META.queueMs) ?? 0;
  const loadMs = readMs(agent, META.loadMs);
  const { firstTokenMs } = times;
  return {
    ...forwardedTrailers(agent),
    [META.call]: request.id,
    // Names are for people and may hold any letters; metadata may not.
    ...(node === undefined ? {} : { [META.node]: encodeGrpcMessage(node.name) }),
    [META.attempts]: String(attempts),
    [META.queueMs]: String(Math.round(times.waitedMs + queueMs)),
    [META.loadMs]: loadMs === undefined ? undefined : String(Math.round(loadMs)),
    [META.ttftMs]: firstTokenMs === undefined ? undefined : String(Math.round(firstTokenMs)),
  };
}

/** Undefined where there is none, or none that makes sense. */
function readMs(agent: Metadata, key: string): number | undefined {
  const ms = Number(readMetadata(agent, key) ?? Number.NaN);
  return Number.isFinite(ms) ? ms : undefined;
}

/** Where a call stood when its deadline passed. */
export interface LateCall {
  readonly times: CallTimes;
  readonly model: string;
  readonly attempts: number;
  /** Of the last attempt. */
  readonly node: NodeView | undefined;
  /** Why it waited, or how the last attempt ended; undefined while the first runs. */
  readonly reason: DroverError | undefined;
  /** What the nodes of attempts that run said last of their work; a node that said nothing is empty. */
  readonly lastWords: readonly string[];
}

/** A passed deadline, saying where the time went. */
export function deadlineError({ times, model, attempts, node, reason, lastWords }: LateCall): DroverError {
  const waited = `${Math.round(times.waitedMs)} ms of them without a node`;
  const tried =
    node === undefined
      ? "no attempt made"
      : `${attempts} attempt${attempts === 1 ? "" : "s"}, the last on node "${node.name}"`;
  const token =
    times.firstTokenMs === undefined
      ? "no token came"
      : `the first token came after ${Math.round(times.firstTokenMs)} ms`;
  const where = `The deadline passed after ${Math.round(times.totalMs)} ms (${waited}; ${tried}; ${token}).`;
  // What came after the first token is no word of what went before it.
  const words = times.firstTokenMs === undefined ? lastWords : [];
  const message = [where, ...words, reason?.message ?? ""].filter((part) => part !== "").join(" ");
  return new DroverError("deadline_exceeded", message, {
    facts: { ...reason?.facts, model, ...(node === undefined ? {} : { node: node.name, attempt: String(attempts) }) },
  });
}
