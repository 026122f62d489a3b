/** The attributes that OpenTelemetry's conventions for RPC ask for, in gRPC's words. */
import { Code } from "@connectrpc/connect";
import type { Attributes } from "@opentelemetry/api";
import type { DroverError } from "../drover-error.ts";
import { reasonOf } from "../endings.ts";

/** `DEADLINE_EXCEEDED` of Code.DeadlineExceeded; gRPC alone spells CANCELLED with two L. */
export function statusName(code: Code | undefined): string {
  if (code === undefined) return "OK";
  if (code === Code.Canceled) return "CANCELLED";
  return (Code[code] ?? "Unknown").replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

export function rpcAttributes(path: string, error: DroverError | undefined): Attributes {
  return {
    "rpc.system.name": "grpc",
    "rpc.method": path.replace(/^\//, ""),
    "rpc.response.status_code": statusName(error?.ending.code),
    ...(error === undefined ? {} : { "error.type": reasonOf(error.kind) }),
  };
}

const OPERATIONS: Readonly<Record<string, string>> = { Chat: "chat", Generate: "text_completion", Embed: "embeddings" };

/** `model` must be one of few: see BoundedValues. `method`: Chat, Generate or Embed. */
export function genAiAttributes(method: string, model: string): Attributes {
  return {
    "gen_ai.operation.name": OPERATIONS[method] ?? method,
    "gen_ai.provider.name": "ollama",
    "gen_ai.request.model": model,
  };
}
