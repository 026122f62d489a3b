/**
 * One Chat as a caller sees it: whether its stream began, how it ended, and when.
 */
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { META } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";

export const MODEL = "bench";

export interface ChatOutcome {
  /** Whether a token came. */
  readonly hasBegun: boolean;
  /** Undefined: it ended with `done` and OK. */
  readonly error: ConnectError | undefined;
  readonly tookMs: number;
}

/** `node`: this one and no other. */
export type Chat = (timeoutMs: number, node?: string) => Promise<ChatOutcome>;

/** All calls share one connection. */
export function chatAt(address: string): Chat {
  const client = createClient(InferenceService, createGrpcTransport({ baseUrl: `http://${address}` }));
  const request = { model: MODEL, messages: [{ role: "user", content: "Say something." }] };
  return async (timeoutMs, node) => {
    const headers = node === undefined ? {} : { [META.node]: node };
    const begin = performance.now();
    let hasBegun = false;
    let error: ConnectError | undefined;
    try {
      for await (const { event } of client.chat(request, { timeoutMs, headers }))
        if (event.case === "chunk") hasBegun = true;
    } catch (cause) {
      error = ConnectError.from(cause);
    }
    return { hasBegun, error, tookMs: performance.now() - begin };
  };
}

/** For standard error: figures alone do not say what went wrong. */
export function reportErrors(outcomes: readonly ChatOutcome[]): void {
  const counts = new Map<string, number>();
  for (const { error, hasBegun } of outcomes) {
    if (error === undefined) continue;
    const line = `${hasBegun ? "after" : "before"} the first token: ${Code[error.code]} ${error.rawMessage}`;
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  for (const [line, count] of counts) process.stderr.write(`  ${count} x ${line}\n`);
}
