/** What @drover/platform offers: the parts that router and agent both need and neither owns. */

export { type AdminGuardOptions, adminGuard } from "./admin-guard.ts";
export { readAdminToken } from "./admin-token.ts";
export { ByteBudget, REQUEST_BODIES_BYTES } from "./byte-budget.ts";
export { type Clock, sleep, systemClock, type Timer } from "./clock.ts";
export {
  advertiseOption,
  COMMON_VARIABLES,
  type CommonDefaults,
  commonOptions,
  consulOption,
  drainLimitOption,
} from "./config/common-options.ts";
export {
  type ConfigDefinition,
  type ConfigOf,
  defineConfig,
  type Env,
  envNameOf,
  listOption,
  type Option,
  option,
  switchOption,
} from "./config/define.ts";
export { type ConfigSources, configOrHelp, type LoadedConfig, loadConfig } from "./config/load.ts";
export {
  type DurationRange,
  durationMs,
  hostPort,
  hostPortText,
  httpUrl,
  integer,
  labels,
  number,
  oneOf,
  origin,
  text,
  textSchema,
} from "./config/values.ts";
export { ConfigError } from "./config-error.ts";
export { type ConsulAccess, consulAccess, consulAddressOf } from "./consul-access.ts";
export { formatGrpcTimeout, hopDeadlineMs, parseGrpcTimeoutMs, readDeadlineMs } from "./deadline.ts";
export { DroverError, type DroverErrorOptions, InvariantError, invariant } from "./drover-error.ts";
export {
  type Blame,
  type Elsewhere,
  ENDINGS,
  type Ending,
  type EndingKind,
  kindOfReason,
  reasonOf,
} from "./endings.ts";
export { GrowingBody } from "./growing-body.ts";
export { decodeGrpcMessage, encodeGrpcMessage, limitMessage, MESSAGE_LIMIT } from "./grpc-message.ts";
export {
  droverErrorFromConnect,
  droverErrorFromGrpc,
  ERROR_DOMAIN,
  type ErrorContext,
  readGrpcStatus,
  toConnectError,
  toGrpcTrailers,
} from "./grpc-status.ts";
export { HealthRegistry, type HealthRegistryOptions } from "./health-service.ts";
export {
  formatHostPort,
  type HostPort,
  isLoopbackHost,
  isWildcardHost,
  parseHostPort,
  plainAddress,
} from "./host-port.ts";
export { formatLabels, isLabels, type Labels, MAX_LABELS, parseLabels } from "./labels.ts";
export { Lifecycle, type StopOptions } from "./lifecycle.ts";
export { LISTED_MAX, listed } from "./listed.ts";
export { bindSocket } from "./listener/bind.ts";
export { createErrorInterceptor } from "./listener/error-interceptor.ts";
export type { RelayHandler, RelayRoute } from "./listener/http-sides.ts";
export { LISTENER_LIMITS, type ListenerLimits } from "./listener/limits.ts";
export { type Listener, type ListenerOptions, openListener } from "./listener/listener.ts";
export { abandonCall, callIdOf, type Peer, peerOf, readPeer, setCallId, setPeer } from "./listener/peer.ts";
export {
  createLogger,
  LOG_LEVELS,
  type Logger,
  type LoggerOptions,
  type LogLevel,
  type LogMethod,
  silentLogger,
} from "./log.ts";
export { prettyLine } from "./log-pretty.ts";
export { loggedMessage } from "./logged-message.ts";
export {
  META,
  type Metadata,
  type MetadataSource,
  readDurationMs,
  readFlag,
  readLabels,
  readMetadata,
  readOnOff,
  readSequence,
  readText,
} from "./metadata.ts";
export { displayModelName, type ModelName, type ModelSource, modelKey, parseModelName } from "./model-name.ts";
export { nearestNames } from "./nearest.ts";
export { ollamaHostUrl } from "./ollama-host.ts";
export {
  type Dependency,
  type OpsListener,
  type OpsListenerOptions,
  openOpsListener,
  type ReadinessReport,
} from "./ops-listener.ts";
export { type ProgramHost, type ProgramOptions, type ReadyFacts, runProgram } from "./program.ts";
export { protoDuration } from "./proto-duration.ts";
export { ReadAheadBuffer } from "./read-ahead-buffer.ts";
export { reflectionRoutes } from "./reflection-service.ts";
export { Registrar, STOPPING_REASON } from "./registration/registrar.ts";
export {
  type PublishedState,
  type RegistrationOptions,
  registrationProblems,
  startRegistration,
} from "./registration/registration.ts";
export { META_VALUE_BYTES } from "./registration/service-definition.ts";
export {
  ACCEPTED_ENCODINGS,
  announcedBytes,
  COMPRESSED_FLAG,
  checkFlags,
  type Encoding,
  encodingUnnamed,
  encodingUnsupported,
  inflateFramed,
  PREFIX_BYTES,
  parseEncoding,
  REQUEST_BYTES_MAX,
  tooLarge,
  watchPace,
} from "./request-message.ts";
export { type Rng, randomId, randomSecret, seededRng, systemRng } from "./rng.ts";
export { SimClock } from "./sim-clock.ts";
export { defaultStateDir, openStateDir, type StateDir, type StateDirOptions } from "./state-dir.ts";
export { BoundedValues, OTHER } from "./telemetry/bounded-values.ts";
export { CallSpan, type SpanRole } from "./telemetry/call-span.ts";
export { INSTRUMENTS, type InstrumentDescription } from "./telemetry/instruments.table.ts";
export { genAiAttributes, rpcAttributes, statusName } from "./telemetry/rpc-attributes.ts";
export { createRpcInterceptor } from "./telemetry/rpc-interceptor.ts";
export { type Attributes, noTelemetry, startTelemetry, type Telemetry } from "./telemetry/telemetry.ts";
