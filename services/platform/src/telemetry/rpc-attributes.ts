/** The attributes that OpenTelemetry's conventions for RPC ask for, in gRPC's words. */
import { Code } from "@connectrpc/connect";
import type { Attributes } from "@opentelemetry/api";
import type { DroverError } from "../drover-error.ts";
import { reasonOf } from "../endings.ts";

/** `DEADLINE_EXCEEDED` of Code.DeadlineExceeded. */
export function statusName(code: Code | undefined): string {
  return code === undefined ? "OK" : (STATUS_NAMES.get(code) ?? "UNKNOWN");
}

/** Made once: every call asks for one. gRPC alone spells CANCELLED with two L. */
const STATUS_NAMES: ReadonlyMap<Code, string> = new Map(
  Object.values(Code)
    .filter((code) => typeof code === "number")
    .map((code) => [code, code === Code.Canceled ? "CANCELLED" : upperSnakeCase(Code[code])]),
);

function upperSnakeCase(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

export function rpcAttributes(path: string, error: DroverError | undefined): Attributes {
  return {
    "rpc.system.name": "grpc",
    "rpc.method": path.startsWith("/") ? path.slice(1) : path,
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
