/**
 * @drover/client in Node: gRPC over HTTP/2, and images from files.
 */
import { createClient, type DroverClient, type DroverClientOptions } from "./client/drover-client.ts";
import { readImageFile } from "./client/node-image-file.ts";
import { openNodeTransport } from "./connect/node/node-transport.ts";
import { AgentProvider } from "./provider/agent-provider.ts";
import { type RouterProviderConfig, routerSource } from "./provider/router-config.ts";

export type { CallFacts, Durations } from "./client/answer-result.ts";
export type { CallOptions } from "./client/call-options.ts";
export type { ChatChunk, ChatInput, ChatMessage, ChatResult, ParsedOf } from "./client/chat.ts";
export type { DroverClient, DroverClientOptions } from "./client/drover-client.ts";
export type { EmbedInput, EmbedResult } from "./client/embed.ts";
export type {
  EstimateTokensInput,
  ExcludedNode,
  FleetCallOptions,
  FleetCalls,
  FleetModel,
  ModelCopy,
  NodeSelection,
  RankedNode,
  SelectNodeInput,
  TokenEstimate,
} from "./client/fleet/fleet-calls.ts";
export type { FleetChange } from "./client/fleet/fleet-change.ts";
export type {
  Availability,
  FleetNode,
  FleetNodeLoad,
  FleetNodeTotals,
  FleetRunner,
  NodeModel,
} from "./client/fleet/fleet-node.ts";
export type { GenerateChunk, GenerateInput, GenerateResult } from "./client/generate.ts";
export type { HealthStatus } from "./client/health.ts";
export type { ImageInput } from "./client/images.ts";
export type { ModelInput, ModelOptions, ThinkInput } from "./client/model-options.ts";
export type { Progress } from "./client/progress.ts";
export {
  type JsonSchema,
  jsonSchema,
  type Schema,
  type SchemaValue,
  type StandardSchema,
  type TypedJsonSchema,
} from "./client/schema.ts";
export type { AnswerChunk, Logprob, TokenStream } from "./client/token-stream.ts";
export type { Tool, ToolCall, ToolCallInput, ToolCallOf } from "./client/tools.ts";
export type { ConnectOptions, TlsOptions } from "./connect/connect-options.ts";
export { DroverError } from "./errors/drover-error.ts";
export type { ClientReason, DroverReason, ServerReason } from "./errors/reasons.ts";
export type { GrpcStatus } from "./errors/status.ts";
export type { AgentLatency } from "./provider/agent-latency.ts";
export type { AgentPreferences } from "./provider/agent-preferences.ts";
export type { AgentProvider, AgentReference, InitializeOptions } from "./provider/agent-provider.ts";
export type { NetworkAgent, NetworkStatus, NetworkTotals } from "./provider/network-status.ts";
export type {
  ChatOptions,
  EmbedOptions,
  ForwardOptions,
  GenerateOptions,
  ProviderCallOptions,
  Streamed,
  Whole,
} from "./provider/provider-options.ts";
export type { AgentConnectionPool } from "./provider/provider-port.ts";
export type { RouterDiscovery, RouterProviderConfig, RouterSecurity } from "./provider/router-config.ts";
export type { AgentSelection } from "./provider/select-agent.ts";

/** A client of the router at `address`. Nothing is connected before the first call. Throws a DroverError for wrong options. */
export function createDroverClient(options: DroverClientOptions = {}): DroverClient {
  return createClient({ openTransport: openNodeTransport, readImageFile }, options);
}

/** Models on remote machines as if they were here, through a router. Throws a DroverError that names all that is wrong in `config`. */
export class NetworkAgentProvider extends AgentProvider {
  constructor(config: RouterProviderConfig = {}) {
    super(routerSource(config, createDroverClient));
  }
}
