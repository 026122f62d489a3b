/**
 * Makes a CallRequest of what a caller sent, whichever protocol it came by: reads the model, what it must be able to do, and
 * the metadata. Refuses what no node could serve.
 */
import type { DescMethod } from "@bufbuild/protobuf";
import { META, type Metadata, readDurationMs, readFlag, readOnOff } from "@drover/platform";
import type { CallRequest, RequestBody } from "./call-request.ts";
import { forwardedMetadata } from "./forwarded-metadata.ts";
import { type InferenceRequest, readProfile } from "./read-profile.ts";

export interface ReceivedCall {
  /** Metadata drover-call. */
  readonly id: string;
  /** Of InferenceService. */
  readonly method: DescMethod;
  readonly message: InferenceRequest;
  readonly metadata: Metadata;
  /** `message` as bytes, for the node. */
  readonly body: RequestBody;
  /** Time that the caller still gives, in ms. Undefined: no deadline. */
  readonly timeoutMs: number | undefined;
  /** For calls that do not say drover-max-wait-ms. */
  readonly defaultMaxWaitMs: number;
}

/** Throws a DroverError. */
export function readCall(received: ReceivedCall): CallRequest {
  const { id, method, message, metadata, body, timeoutMs, defaultMaxWaitMs } = received;
  return {
    id,
    path: `/${method.parent.typeName}/${method.name}`,
    isUnary: method.methodKind === "unary",
    profile: readProfile(message, metadata),
    isProgressWanted: readOnOff(metadata, META.progress) ?? true,
    isWhyWanted: readFlag(metadata, META.why),
    headers: forwardedMetadata(metadata),
    body,
    timeoutMs: timeoutMs === undefined ? undefined : Math.max(timeoutMs, 0),
    maxWaitMs: readDurationMs(metadata, META.maxWaitMs) ?? defaultMaxWaitMs,
  };
}
