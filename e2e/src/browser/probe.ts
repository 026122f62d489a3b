/**
 * What the test's page runs in Chromium: calls with @drover/client, and tells in plain objects what came, because only those can leave
 * the page. It judges nothing.
 */
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { type CallOptions, createDroverClient, type DroverClient, DroverError } from "@drover/client";

/** "default" is what the client chooses when it is given an address. */
export type Wire = "default" | "Connect, JSON" | "Connect, binary" | "gRPC-Web";

export type Leaving = "the signal" | "the loop" | "cancel()";

/** Options that can enter the page. */
type PlainOptions = Omit<CallOptions, "signal" | "onProgress">;

const running = new Map<Leaving, () => void>();

function clientOf(router: string, wire: Wire, token?: string): DroverClient {
  // Not as `token`: beside a transport of one's own that is refused.
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  switch (wire) {
    case "default":
      return createDroverClient({ address: router, headers });
    case "Connect, JSON":
      return createDroverClient({ transport: createConnectTransport({ baseUrl: router }), headers });
    case "Connect, binary":
      return createDroverClient({
        transport: createConnectTransport({ baseUrl: router, useBinaryFormat: true }),
        headers,
      });
    case "gRPC-Web":
      return createDroverClient({ transport: createGrpcWebTransport({ baseUrl: router }), headers });
  }
}

function plainError(error: unknown) {
  if (!(error instanceof DroverError)) throw error;
  const { reason, status, message, retryAfterMs, node, attempts, tokensReceived, partialText, callId } = error;
  return { reason, status, message, retryAfterMs, node, attempts, tokensReceived, partialText, callId };
}

const probe = {
  /** Chats to the end. `atMs` is when each chunk came. */
  async chat(router: string, wire: Wire, model: string, options: PlainOptions & { numPredict?: number } = {}) {
    const { numPredict, ...rest } = options;
    const atMs: number[] = [];
    const progress: string[] = [];
    let text = "";
    try {
      const stream = clientOf(router, wire).chat(
        { model, messages: [{ role: "user", content: "hello" }], options: { numPredict: numPredict ?? 20 } },
        { ...rest, onProgress: ({ kind }) => progress.push(kind) },
      );
      for await (const chunk of stream) {
        atMs.push(performance.now());
        text += chunk.text;
      }
      const { node, attempts, ttftMs, queueMs, callId, generatedTokens, why } = await stream.result();
      return { text, atMs, progress, result: { node, attempts, ttftMs, queueMs, callId, generatedTokens, why } };
    } catch (error) {
      return { text, atMs, progress, error: plainError(error) };
    }
  },

  async embed(router: string, wire: Wire, model: string, options: PlainOptions = {}) {
    try {
      const { embeddings, node, attempts, queueMs, callId } = await clientOf(router, wire).embed(
        { model, input: ["a", "b"] },
        options,
      );
      return { lengths: embeddings.map(({ length }) => length), node, attempts, queueMs, callId };
    } catch (error) {
      return { error: plainError(error) };
    }
  },

  /** Resolves at the first chunk of an answer without end; it is left by `leave`, or with the page. */
  async begin(router: string, wire: Wire, model: string, leaving?: Leaving): Promise<void> {
    const abort = new AbortController();
    let isLeft = false;
    const stream = clientOf(router, wire).chat(
      { model, messages: [{ role: "user", content: "hello" }], options: { numPredict: -1 } },
      { signal: abort.signal },
    );
    const first = Promise.withResolvers<void>();
    const read = async (): Promise<void> => {
      for await (const _ of stream) {
        first.resolve();
        if (isLeft) break;
      }
    };
    read().catch(first.reject);
    if (leaving === "the signal") running.set(leaving, () => abort.abort());
    if (leaving === "cancel()") running.set(leaving, () => stream.cancel());
    if (leaving === "the loop") {
      running.set(leaving, () => {
        isLeft = true;
      });
    }
    await first.promise;
  },

  leave: (leaving: Leaving): void => running.get(leaving)?.(),

  async fleet(router: string, wire: Wire, model: string) {
    const client = clientOf(router, wire);
    const nodes = await client.fleet.listNodes();
    const models = await client.fleet.listModels();
    for await (const event of client.fleet.watch()) return { nodes, models, event: event.kind };
    return { nodes, models, model };
  },

  async drainAndResume(router: string, wire: Wire, token: string, node: string) {
    const client = clientOf(router, wire, token);
    try {
      await client.fleet.drainNode(node, "from a page");
      await client.fleet.resumeNode(node);
      return {};
    } catch (error) {
      return { error: plainError(error) };
    }
  },

  /** What a page may send without asking: no preflight, and an answer that it cannot read. */
  async blind(url: string, body: string): Promise<string> {
    return (await fetch(url, { method: "POST", mode: "no-cors", body })).type;
  },
};

export type Probe = typeof probe;

Object.assign(window, { probe });
