/** Measures every RPC that connect serves, but for those whose own code measures more (inference). */
import { type Code, ConnectError, type Interceptor, type StreamResponse } from "@connectrpc/connect";
import type { Clock } from "../clock.ts";
import { DroverError } from "../drover-error.ts";
import { statusName } from "./rpc-attributes.ts";
import type { Telemetry } from "./telemetry.ts";

export interface RpcInterceptorOptions {
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  /** Type names of services that measure themselves. */
  readonly except: readonly string[];
}

export function createRpcInterceptor({ telemetry, clock, except }: RpcInterceptorOptions): Interceptor {
  return (next) => async (request) => {
    if (except.includes(request.service.typeName)) return await next(request);
    const startedMs = clock.nowMs();
    const end = (error?: unknown): void => {
      telemetry.record("rpcServerCallDuration", (clock.nowMs() - startedMs) / 1000, {
        "rpc.system.name": "grpc",
        "rpc.method": `${request.service.typeName}/${request.method.name}`,
        "rpc.response.status_code": statusName(error === undefined ? undefined : codeOf(error)),
      });
    };
    try {
      const response = await next(request);
      if (response.stream) return { ...response, message: measured(response.message, end) };
      end();
      return response;
    } catch (error) {
      end(error);
      throw error;
    }
  };
}

function codeOf(error: unknown): Code {
  return error instanceof DroverError ? error.ending.code : ConnectError.from(error).code;
}

type MessageOf<T> = T extends AsyncIterable<infer M> ? M : never;

/** A caller that leaves a stream ends it as well, without an error. */
async function* measured<T extends StreamResponse["message"]>(
  messages: T,
  end: (error?: unknown) => void,
): AsyncGenerator<MessageOf<T>> {
  let failure: unknown;
  try {
    yield* messages as AsyncIterable<MessageOf<T>>;
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    end(failure);
  }
}
