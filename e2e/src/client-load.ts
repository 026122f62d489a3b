/**
 * Calls a fleet all the time through clients of @drover/client, unary and streaming, and remembers how each call went: for tests of
 * what must not disturb callers.
 */
import { createDroverClient, type DroverClient, type DroverClientOptions, DroverError } from "@drover/client";

export interface ClientCall {
  readonly kind: "embed" | "chat";
  readonly beganMs: number;
  /** What a stream had given until it ended. */
  readonly text: string;
  readonly pieces: number;
  readonly endedMs: number;
  /** Undefined: it ended well. */
  readonly failure: DroverError | undefined;
}

export interface ClientLoad {
  /** That have ended, in order of their end. */
  readonly calls: readonly ClientCall[];
  readonly running: number;
  failedSince(sinceMs: number): readonly ClientCall[];
  /** Begins no more calls, and resolves when those that run have ended. */
  stop(): Promise<void>;
}

export interface ClientLoadOptions {
  /** For each client. */
  readonly client: DroverClientOptions;
  /** Every one draws its own order of the routers. */
  readonly clients: number;
  /** Between two calls of all of them together. */
  readonly everyMs: number;
  readonly chatModel: string;
  readonly embedModel: string;
}

export function loadClients(options: ClientLoadOptions): ClientLoad {
  const clients = Array.from({ length: options.clients }, () => createDroverClient(options.client));
  const calls: ClientCall[] = [];
  const running = new Set<Promise<void>>();
  let count = 0;
  const begin = (): void => {
    const client = clients[count % clients.length];
    if (client === undefined) throw new Error("there is at least one client");
    const one = Math.floor(count / clients.length) % 2 === 0 ? embed : chat;
    count += 1;
    const call = one(client, options).then((ended) => void calls.push(ended));
    running.add(call);
    void call.finally(() => running.delete(call));
  };
  const timer = setInterval(begin, options.everyMs);
  return {
    calls,
    get running() {
      return running.size;
    },
    failedSince: (sinceMs) => calls.filter(({ beganMs, failure }) => beganMs > sinceMs && failure !== undefined),
    stop: async () => {
      clearInterval(timer);
      await Promise.all(running);
      for (const client of clients) await client.close();
    },
  };
}

async function embed(client: DroverClient, { embedModel: model }: ClientLoadOptions): Promise<ClientCall> {
  const beganMs = performance.now();
  const failure = await client
    .embed({ model, input: ["a word"] }, { timeoutMs: 20_000 })
    .then(() => undefined, droverError);
  return { kind: "embed", beganMs, text: "", pieces: 0, endedMs: performance.now(), failure };
}

async function chat(client: DroverClient, { chatModel: model }: ClientLoadOptions): Promise<ClientCall> {
  const beganMs = performance.now();
  let text = "";
  let pieces = 0;
  let failure: DroverError | undefined;
  try {
    const messages = [{ role: "user", content: "Tell me a story" }] as const;
    for await (const chunk of client.chat({ model, messages }, { timeoutMs: 20_000 })) {
      text += chunk.text;
      pieces += 1;
    }
  } catch (error) {
    failure = droverError(error);
  }
  return { kind: "chat", beganMs, text, pieces, endedMs: performance.now(), failure };
}

/** Anything else is a bug of the client. */
function droverError(error: unknown): DroverError {
  if (error instanceof DroverError) return error;
  throw error;
}
