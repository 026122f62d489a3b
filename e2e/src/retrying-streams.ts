/**
 * Keeps a number of streams running over one router or several, as an application does with grpc-js and its retry policy (gRFC A6):
 * tried again is only what ended before its first message, by the library itself.
 */
import { fromBinary } from "@bufbuild/protobuf";
import { ChatResponseSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { Client, credentials, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { chatBytes } from "./ended-call.ts";

export interface RetryingStreams {
  /** That have ended well. */
  readonly ended: number;
  readonly failures: readonly string[];
  /** Resolves when those that run have ended; no new ones begin. */
  stop(): Promise<void>;
}

const SERVICE_CONFIG = JSON.stringify({
  loadBalancingConfig: [{ round_robin: {} }],
  methodConfig: [
    {
      name: [{ service: "drover.inference.v1.InferenceService" }],
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: "0.1s",
        maxBackoff: "1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
});

export interface StreamOptions {
  /** Of the routers, as `127.0.0.1:PORT`. */
  readonly addresses: readonly string[];
  readonly model: string;
  readonly count: number;
  /** False: what fails at the router fails. Default true. */
  readonly isRetrying?: boolean;
}

/** Each stream that ends is followed by another one. */
export function runStreams({ addresses, model, count, isRetrying = true }: StreamOptions): RetryingStreams {
  const client = new Client(`ipv4:${addresses.join(",")}`, credentials.createInsecure(), {
    "grpc.enable_retries": isRetrying ? 1 : 0,
    "grpc.service_config": SERVICE_CONFIG,
    // By default grpc-js looks for a router that was away only after a growing pause of up to two minutes.
    "grpc.initial_reconnect_backoff_ms": 200,
    "grpc.max_reconnect_backoff_ms": 1_000,
  });
  const failures: string[] = [];
  let ended = 0;
  let isStopped = false;
  const repeat = async (): Promise<void> => {
    while (!isStopped) {
      const failure = await streamOnce(client, model);
      if (failure === undefined) ended++;
      else failures.push(failure);
    }
  };
  const running = Array.from({ length: count }, () => repeat());
  return {
    get ended() {
      return ended;
    },
    failures,
    stop: async () => {
      isStopped = true;
      await Promise.all(running);
      client.close();
    },
  };
}

/** Undefined: it ended well, with `done`. */
function streamOnce(client: Client, model: string): Promise<string | undefined> {
  const path = "/drover.inference.v1.InferenceService/Chat";
  const same = (bytes: Buffer): Buffer => bytes;
  const call = client.makeServerStreamRequest(path, same, same, Buffer.from(chatBytes({ model })), new Metadata());
  let messages = 0;
  let last: Buffer | undefined;
  call.on("data", (message: Buffer) => {
    messages++;
    last = message;
  });
  call.on("error", () => undefined);
  return new Promise((resolve) => {
    call.on("status", ({ code, details, metadata }: StatusObject) => {
      const isDone = last !== undefined && fromBinary(ChatResponseSchema, last).event.case === "done";
      const node = metadata.get("drover-node").join();
      if (code === status.OK && isDone) resolve(undefined);
      else resolve(`${status[code]} after ${messages} messages, node "${node}": ${details}`);
    });
  });
}
