/**
 * Keeps one Attach stream to an endpoint, on a connection of its own, for as long as the endpoint is a member: says hello,
 * reports what the agent says, and begins again with growing pauses after a loss.
 */
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type Clock, droverErrorFromConnect, type Rng, sleep } from "@drover/platform";
import {
  AgentService,
  type AttachRequest,
  AttachRequestSchema,
  type AttachResponse,
} from "@drover/proto/drover/agent/v1/agent_pb";
import type { Link } from "../fleet/fleet.ts";
import type { LinkEvent } from "../fleet/link-state.ts";
import { type AgentConnection, openAgentConnection } from "./agent-connection.ts";
import { patience } from "./patience.ts";

/** Pauses between tries: from the first to the last, doubling, each shortened by a random part so that a fleet of routers spreads out. */
const RETRY_FIRST_MS = 100;
const RETRY_LAST_MS = 2_000;
/** A stream that lived this long was well: what comes after it is tried again at once. */
const SETTLED_MS = 2_000;
/** An agent that accepts the connection but does not say welcome within this time is not one. */
const WELCOME_TIMEOUT_MS = 5_000;
/** An agent speaks every second. After so long a silence the connection is dead, even if nobody said so: a machine without power sends no FIN. */
const SILENT_STREAM_MS = 10_000;
/** As the contract of Attach bounds its messages. */
const MESSAGE_BYTES_MAX = 1024 * 1024;

const NOBODY = "no Drover agent answers at its endpoint";
const LOST = "the connection to its agent was lost";

export interface AttachLinkOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly routerName: string;
  /** UUID of this process. */
  readonly incarnation: string;
  readonly version: string;
}

export function openAttachLink(options: AttachLinkOptions, endpoint: string, report: (event: LinkEvent) => void): Link {
  const abort = new AbortController();
  void keepAttached(options, endpoint, report, abort.signal);
  return { close: () => abort.abort() };
}

async function keepAttached(
  options: AttachLinkOptions,
  endpoint: string,
  report: (event: LinkEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  const { clock, rng } = options;
  let pauseMs = RETRY_FIRST_MS;
  while (!signal.aborted) {
    const beganMs = clock.nowMs();
    const failure = await attachOnce(options, endpoint, report, signal);
    if (signal.aborted) return;
    report({ kind: "lost", reason: failure, atMs: clock.nowMs() });
    // A stream that breaks again and again right after its welcome has to slow down as well.
    pauseMs = clock.nowMs() - beganMs >= SETTLED_MS ? RETRY_FIRST_MS : Math.min(pauseMs * 2, RETRY_LAST_MS);
    await sleep(clock, pauseMs * (0.5 + rng.next() / 2), signal);
  }
}

/** Holds one stream until it ends; resolves with why, in plain words. */
async function attachOnce(
  options: AttachLinkOptions,
  endpoint: string,
  report: (event: LinkEvent) => void,
  signal: AbortSignal,
): Promise<string> {
  const attempt = new AbortController();
  const stop = (): void => attempt.abort();
  signal.addEventListener("abort", stop, { once: true });
  let limit = patience(options.clock, WELCOME_TIMEOUT_MS, stop);
  let wasWelcomed = false;
  let connection: AgentConnection | undefined;
  try {
    // Throws when what discovery named is no address.
    connection = openAgentConnection(endpoint);
    for await (const message of attach(connection, options, attempt.signal)) {
      if (signal.aborted) break;
      wasWelcomed ||= message.event.case === "welcome";
      if (wasWelcomed) {
        limit.cancel();
        limit = patience(options.clock, SILENT_STREAM_MS, stop);
      }
      reportMessage(message, report, options.clock.nowMs());
    }
    return "its agent has stopped";
  } catch (error) {
    return attempt.signal.aborted ? describeSilence(wasWelcomed) : describe(error, wasWelcomed);
  } finally {
    limit.cancel();
    signal.removeEventListener("abort", stop);
    // Leaving the loop does not cancel the stream in connect-es, so it is said.
    stop();
    connection?.close();
  }
}

function attach(
  connection: AgentConnection,
  options: AttachLinkOptions,
  signal: AbortSignal,
): AsyncIterable<AttachResponse> {
  const transport = createGrpcTransport({
    baseUrl: connection.authority,
    sessionManager: connection,
    readMaxBytes: MESSAGE_BYTES_MAX,
    acceptCompression: [],
  });
  const client = createClient(AgentService, transport);
  return client.attach(hello(options, signal), { signal });
}

async function* hello(options: AttachLinkOptions, signal: AbortSignal): AsyncIterable<AttachRequest> {
  const { routerName: router, incarnation, version } = options;
  yield create(AttachRequestSchema, { event: { case: "hello", value: { router, incarnation, version } } });
  // The request stays open: its end would tell the agent that this router is gone.
  await new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

function reportMessage(message: AttachResponse, report: (event: LinkEvent) => void, atMs: number): void {
  const { event } = message;
  switch (event.case) {
    case "welcome":
      return report({ kind: "welcomed", welcome: event.value, atMs });
    case "status":
      return report({ kind: "status", status: event.value, atMs });
    // Tickets are not placed yet, so nothing is said about them; an unknown event is of a newer agent.
    case "position":
    case "claim":
    case "dropped":
    case undefined:
      return;
  }
}

function describeSilence(wasWelcomed: boolean): string {
  return wasWelcomed ? `its agent has been silent for ${SILENT_STREAM_MS / 1_000} s` : NOBODY;
}

function describe(error: unknown, wasWelcomed: boolean): string {
  if (!(error instanceof ConnectError)) return wasWelcomed ? LOST : NOBODY;
  if (error.code === Code.Unimplemented) return describeStranger(error);
  // The agent's own words, not what connect says of a connection that broke.
  if (error.isWireError && error.rawMessage !== "") {
    return `its agent ended the connection: ${error.rawMessage}`;
  }
  if (wasWelcomed) return LOST;
  const code = error.cause instanceof Error && "code" in error.cause ? error.cause.code : undefined;
  switch (code) {
    case "ECONNREFUSED":
      return "nothing listens at its endpoint: is drover-agent running there?";
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its host name does not resolve";
    default:
      return NOBODY;
  }
}

/** A router at its own address among the nodes is an easy slip. */
function describeStranger(error: ConnectError): string {
  return droverErrorFromConnect(error) === undefined
    ? NOBODY
    : "a Drover answers at its endpoint that is no agent: is it a router?";
}
