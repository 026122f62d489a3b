/**
 * The client itself: what it can be given, what it can do, and how it is put together over a transport. Which transports there
 * are is the entry's matter.
 */
import type { Transport } from "@connectrpc/connect";
import type { ConnectOptions, OpenedTransport } from "../connect/connect-options.ts";
import { describeUnknown } from "../errors/describe-unknown.ts";
import { invalidArgument } from "../errors/drover-error.ts";
import { type CallOptions, callHeaders, deadlineMs } from "./call-options.ts";
import { RunningCalls } from "./call-scope.ts";
import { type ChatChunk, type ChatInput, type ChatResult, chat, type ParsedOf } from "./chat.ts";
import { type EmbedInput, type EmbedResult, embed } from "./embed.ts";
import { type FleetCalls, fleetCalls } from "./fleet/fleet-calls.ts";
import { type GenerateChunk, type GenerateInput, type GenerateResult, generate } from "./generate.ts";
import { checkHealth, type HealthStatus } from "./health.ts";
import type { ReadImageFile } from "./images.ts";
import type { Schema } from "./schema.ts";
import type { Sending } from "./sending.ts";
import type { TokenStream } from "./token-stream.ts";
import type { Tool } from "./tools.ts";

/** `address`, `token` and `tls`, or a `transport`. */
export interface DroverClientOptions extends ConnectOptions {
  /** connect's Transport, instead of `address`. It is not closed with the client. */
  readonly transport?: Transport | undefined;
  /** Deadline of each call that says none, in ms. Default: none. */
  readonly timeoutMs?: number | undefined;
  /** Sent with every call, as they are. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Talks to a router, or to one agent directly. Every failure is a DroverError. */
export interface DroverClient {
  /** Continues a prompt. Sent at the first use of what it returns. */
  generate<const Format extends Schema | undefined = undefined>(
    request: GenerateInput<Format>,
    options?: CallOptions,
  ): TokenStream<GenerateChunk, GenerateResult<ParsedOf<Format>>>;
  /** Answers a conversation. Sent at the first use of what it returns. */
  chat<const Tools extends readonly Tool[] = readonly [], const Format extends Schema | undefined = undefined>(
    request: ChatInput<Tools, Format>,
    options?: CallOptions,
  ): TokenStream<ChatChunk<Tools>, ChatResult<Tools, ParsedOf<Format, Tools>>>;
  /** Turns texts into vectors. Sent at once. */
  embed(request: EmbedInput, options?: CallOptions): Promise<EmbedResult>;
  /** What a router knows of its nodes and models. */
  readonly fleet: FleetCalls;
  /** gRPC health: of everything, or of one service such as "drover.inference.v1.InferenceService". */
  health(service?: string, options?: Pick<CallOptions, "signal" | "timeoutMs" | "headers">): Promise<HealthStatus>;
  /** Ends running calls (CLIENT_CLOSED) and closes its connections; later calls fail. Closing twice is harmless. */
  close(): Promise<void>;
  /** `close()`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What the platform brings: Node, or anything with fetch. */
export interface ClientPlatform {
  /** Throws a DroverError for an address or a setting that is wrong. Nothing needs to be connected yet. */
  readonly openTransport: (options: ConnectOptions) => OpenedTransport;
  readonly readImageFile?: ReadImageFile;
}

/** Throws a DroverError (INVALID_ARGUMENT_LOCAL) for options that are wrong. */
export function createClient(platform: ClientPlatform, options: DroverClientOptions): DroverClient {
  const { transport, timeoutMs, headers = {}, ...connect } = options;
  refuseUnknown(options);
  refuseBoth(options);
  const running = new RunningCalls();
  const calls = { running, headers: callHeaders(headers, {}), timeoutMs: deadlineMs(timeoutMs) };
  // Last: nothing is to be closed when an option is wrong.
  const opened = transport === undefined ? platform.openTransport(connect) : { transport, close: () => undefined };
  const sending: Sending = { ...calls, transport: opened.transport, readImageFile: platform.readImageFile };
  const close = async (): Promise<void> => {
    running.close();
    await opened.close();
  };
  return {
    generate: (request, callOptions = {}) => generate(sending, request, callOptions),
    chat: (request, callOptions = {}) => chat(sending, request, callOptions),
    embed: (request, callOptions = {}) => embed(sending, request, callOptions),
    fleet: fleetCalls(sending),
    health: (service = "", callOptions = {}) => checkHealth(sending, service, callOptions),
    close,
    [Symbol.asyncDispose]: close,
  };
}

const NAMES: Readonly<Record<keyof DroverClientOptions, true>> = {
  address: true,
  token: true,
  allowInsecureToken: true,
  tls: true,
  transport: true,
  timeoutMs: true,
  headers: true,
};

/** A misspelt one must not be ignored. */
function refuseUnknown(options: DroverClientOptions): void {
  const problems = describeUnknown("", Object.keys(options), Object.keys(NAMES));
  if (problems.length > 0) throw invalidArgument(problems.join(" "));
}

function refuseBoth({ transport, address, token, tls }: DroverClientOptions): void {
  if (transport === undefined || (address ?? token ?? tls) === undefined) return;
  throw invalidArgument("Give `transport`, or `address` with `token` and `tls`: a transport has its own.");
}
