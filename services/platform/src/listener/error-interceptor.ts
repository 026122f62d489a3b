/**
 * Turns whatever a handler throws into the error that callers see, with the call's id. The outermost interceptor, so that every
 * handler may simply throw a DroverError.
 */
import { Code, ConnectError, type Interceptor, type StreamResponse } from "@connectrpc/connect";
import { DroverError } from "../drover-error.ts";
import { toConnectError } from "../grpc-status.ts";
import type { Logger } from "../log.ts";
import { META } from "../metadata.ts";
import { asRefusal } from "./connect-refusals.ts";
import { callIdOf, refusalOf } from "./peer.ts";

export function createErrorInterceptor(log: Logger): Interceptor {
  return (next) => async (request) => {
    const callId = callIdOf(request.contextValues);
    const translate = (error: unknown): ConnectError => {
      // Nobody is left to tell, and nothing to look into: grpcurl leaves its reflection stream like that each time.
      if (isCallerGone(error, request.signal)) return new ConnectError("The caller left.", Code.Canceled);
      const refusal = error instanceof ConnectError ? asRefusal(error) : undefined;
      const translated = toConnectError(refusal ?? error, { callId, log });
      if (callId !== "" && !translated.metadata.has(META.call)) translated.metadata.set(META.call, callId);
      return translated;
    };
    try {
      const refusal = refusalOf(request.contextValues);
      if (refusal !== undefined) throw refusal;
      const response = await next(request);
      if (callId !== "" && !response.header.has(META.call)) response.header.set(META.call, callId);
      return response.stream ? { ...response, message: translated(response.message, translate) } : response;
    } catch (error) {
      throw translate(error);
    }
  };
}

function isCallerGone(error: unknown, signal: AbortSignal): boolean {
  if (error instanceof ConnectError || error instanceof DroverError) return false;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ERR_STREAM_PREMATURE_CLOSE" || (signal.aborted && error === signal.reason);
}

async function* translated<T extends StreamResponse["message"]>(
  messages: T,
  translate: (error: unknown) => ConnectError,
): AsyncGenerator<T extends AsyncIterable<infer M> ? M : never> {
  try {
    yield* messages as AsyncIterable<T extends AsyncIterable<infer M> ? M : never>;
  } catch (error) {
    throw translate(error);
  }
}
