/**
 * Calls a router all the time and remembers how each call went, for tests of what must not disturb traffic.
 */
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";

export interface SteadyCall {
  readonly beganMs: number;
  /** Name of the node that answered; undefined when the call failed. */
  readonly node: string | undefined;
  /** That the router made; 0 when the call failed. */
  readonly attempts: number;
  readonly failure: string | undefined;
}

export interface SteadyCaller {
  /** That have ended, in order of their end. */
  readonly calls: readonly SteadyCall[];
  readonly failures: readonly string[];
  /** Names of the nodes that answered calls which began after `sinceMs`. */
  nodesSince(sinceMs: number): string[];
  /** Resolves when the calls that run have ended. */
  stop(): Promise<void>;
}

/** A call every `everyMs`; they overlap when one takes longer. */
export function callSteadily(address: string, model: string, everyMs = 25): SteadyCaller {
  const sessionManager = new Http2SessionManager(`http://${address}`);
  const client = createClient(
    InferenceService,
    createGrpcTransport({ baseUrl: `http://${address}`, sessionManager, acceptCompression: [] }),
  );
  const calls: SteadyCall[] = [];
  const running = new Set<Promise<void>>();
  const begin = (): void => {
    const call = callOnce(client, model).then((ended) => void calls.push(ended));
    running.add(call);
    void call.finally(() => running.delete(call));
  };
  const timer = setInterval(begin, everyMs);
  return {
    calls,
    get failures() {
      return calls.flatMap(({ failure }) => failure ?? []);
    },
    nodesSince: (sinceMs) => [
      ...new Set(calls.flatMap(({ beganMs, node }) => (beganMs > sinceMs && node !== undefined ? [node] : []))),
    ],
    stop: async () => {
      clearInterval(timer);
      await Promise.all(running);
      sessionManager.abort();
    },
  };
}

async function callOnce(
  client: ReturnType<typeof createClient<typeof InferenceService>>,
  model: string,
): Promise<SteadyCall> {
  const beganMs = performance.now();
  let node: string | undefined;
  let attempts = 0;
  try {
    const messages = [{ role: "user", content: "hi" }];
    const onTrailer = (trailer: Headers): void => {
      node = trailer.get("drover-node") ?? undefined;
      attempts = Number(trailer.get("drover-attempts"));
    };
    for await (const _ of client.chat({ model, messages }, { onTrailer, timeoutMs: 20_000 }));
    return { beganMs, node, attempts, failure: undefined };
  } catch (error) {
    return { beganMs, node: undefined, attempts: 0, failure: String(error) };
  }
}
