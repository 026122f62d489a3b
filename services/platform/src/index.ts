/** What @drover/platform offers: the parts that router and agent both need and neither owns. */

export { type Clock, sleep, systemClock, type Timer } from "./clock.ts";
export { formatGrpcTimeout, hopDeadlineMs, parseGrpcTimeoutMs, readDeadlineMs } from "./deadline.ts";
export { DroverError, type DroverErrorOptions, InvariantError, invariant } from "./drover-error.ts";
export { type Blame, type Elsewhere, ENDINGS, type Ending, type EndingKind, kindOfReason, reasonOf } from "./endings.ts";
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
export { formatLabels, isLabels, type Labels, MAX_LABELS, parseLabels } from "./labels.ts";
export { createLogger, LOG_LEVELS, type Logger, type LoggerOptions, type LogLevel, type LogMethod, silentLogger } from "./log.ts";
export {
  META,
  type MetadataSource,
  readDurationMs,
  readFlag,
  readLabels,
  readMetadata,
  readOnOff,
  readText,
} from "./metadata.ts";
export { displayModelName, type ModelName, type ModelSource, modelKey, parseModelName } from "./model-name.ts";
export { type Rng, randomId, randomSecret, seededRng, systemRng } from "./rng.ts";
export { SimClock } from "./sim-clock.ts";
