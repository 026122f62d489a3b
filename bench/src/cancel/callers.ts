/**
 * Callers of the benchmark, in the protocols that a router speaks. What comes back is dropped: only when something came, and that
 * nothing comes after the caller has left, is of interest.
 */
import { durationMs } from "@bufbuild/protobuf/wkt";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { META } from "@drover/platform";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";

export type Protocol = "gRPC" | "Connect on HTTP/1.1" | "Connect on HTTP/2";

export interface Ask {
  readonly node: string;
  readonly model: string;
  readonly prompt: string;
}

/** Calls, and leaves when `signal` aborts. */
export type Calls = (transport: Transport, ask: Ask, signal: AbortSignal) => void;

export function transportTo(address: string, protocol: Protocol): Transport {
  const baseUrl = `http://${address}`;
  if (protocol === "gRPC") return createGrpcTransport({ baseUrl });
  return createConnectTransport({ baseUrl, httpVersion: protocol === "Connect on HTTP/2" ? "2" : "1.1" });
}

export const chat: Calls = (transport, ask, signal) => void firstToken(transport, ask, signal);

export const embed: Calls = (transport, { node, model, prompt }, signal) => {
  createClient(InferenceService, transport)
    .embed({ model, input: [prompt] }, { signal, headers: { [META.node]: node } })
    .catch(() => undefined);
};

/** Resolves with the time of the first chunk (performance.now); the rest is read and dropped until `signal`. */
export function firstToken(transport: Transport, ask: Ask, signal: AbortSignal): Promise<number> {
  return new Promise((resolve) => {
    void (async () => {
      try {
        for await (const { event } of stream(transport, ask, { signal }))
          if (event.case === "chunk") resolve(performance.now());
      } catch {
        // That is how a cancelled call ends.
      }
    })();
  });
}

/** Chats to the end, for one token; resolves with how long Ollama says that it read the prompt, in ms. */
export async function wholeChat(transport: Transport, ask: Ask): Promise<number> {
  let prefillMs = Number.NaN;
  for await (const { event } of stream(transport, ask, { numPredict: 1 })) {
    const duration = event.case === "done" ? event.value.completion?.promptEvalDuration : undefined;
    if (duration !== undefined) prefillMs = durationMs(duration);
  }
  return prefillMs;
}

function stream(
  transport: Transport,
  { node, model, prompt }: Ask,
  { signal, numPredict }: { readonly signal?: AbortSignal; readonly numPredict?: number },
) {
  const request = { model, messages: [{ role: "user", content: prompt }], options: numPredict ? { numPredict } : {} };
  const options = { headers: { [META.node]: node }, ...(signal === undefined ? {} : { signal }) };
  return createClient(InferenceService, transport).chat(request, options);
}
