/**
 * An agent for tests of the router in one process: real sockets and the real contract, with answers that the test scripts.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import {
  adminGuard,
  type DroverError,
  type Listener,
  type ListenerLimits,
  openListener,
  type RelayRoute,
  silentLogger,
  systemClock,
} from "@drover/platform";
import {
  AgentService,
  type AttachRequest,
  type AttachResponse,
  AttachResponseSchema,
} from "@drover/proto/drover/agent/v1/agent_pb";
import {
  ModelInventorySchema,
  type NodeCondition,
  NodeConditionSchema,
  NodeIdentitySchema,
  NodeLoadSchema,
  RunnerState,
} from "@drover/proto/drover/fleet/v1/fleet_pb";
import {
  type ChatRequest,
  type ChatResponseSchema,
  type GenerateResponseSchema,
  InferenceService,
} from "@drover/proto/drover/inference/v1/inference_pb";

export interface FakeAgentOptions {
  readonly id: string;
  /** Default: a port that the system chooses. */
  readonly listen?: string;
  readonly name?: string;
  readonly models?: readonly string[];
  readonly capabilities?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly incarnation?: string;
  readonly token?: string;
  /** Calls that may wait at it; default 10, and 0 sets no limit. */
  readonly queueLimit?: number;
  /** Whether its models are in memory. */
  readonly isLoaded?: boolean;
  /** What its load says beside that. */
  readonly load?: MessageInitShape<typeof NodeLoadSchema>;
  /** What Chat answers; default two chunks and `done`. */
  readonly chat?: (
    request: ChatRequest,
    context: HandlerContext,
  ) => AsyncIterable<MessageInitShape<typeof ChatResponseSchema>>;
  /** Takes the HTTP/2 streams of its choice as they are, for answers that no library would give. */
  readonly relay?: RelayRoute;
  /** Of its listener, where those of a real agent would end the test. */
  readonly limits?: Partial<ListenerLimits>;
}

export interface FakeAgent {
  readonly address: string;
  /** Calls of InferenceService that arrived. */
  readonly calls: number;
  /** The headers of the last one. */
  readonly lastHeaders: Headers | undefined;
  /** Names of the routers that said hello. */
  readonly routers: readonly string[];
  /** Makes this what every following status says, and tells it. */
  setCondition(condition: { isDraining?: boolean; isOllamaReachable?: boolean }): void;
  readonly condition: NodeCondition;
  /** Takes nothing new; resolves when the last connection has ended. */
  drained(): Promise<void>;
  /** Ends it as a process that was killed. */
  kill(): void;
}

const HEARTBEAT_MS = 500;

export async function startFakeAgent(options: FakeAgentOptions): Promise<FakeAgent> {
  const watchers = new Set<() => void>();
  let condition = create(NodeConditionSchema, { isOllamaReachable: true, ollamaVersion: "0.24.0" });
  const routers: string[] = [];
  let calls = 0;
  let lastHeaders: Headers | undefined;
  const setCondition = (change: Partial<NodeCondition>): void => {
    condition = create(NodeConditionSchema, { ...condition, ...change });
    for (const wake of watchers) wake();
  };
  const note = (context: HandlerContext): void => {
    calls++;
    lastHeaders = context.requestHeader;
  };
  const listener: Listener = await openListener({
    listen: options.listen ?? "127.0.0.1:0",
    isInsecureAllowed: false,
    allowHosts: [],
    corsOrigins: [],
    log: silentLogger,
    clock: systemClock,
    ...(options.relay === undefined ? {} : { relay: options.relay }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
    interceptors: [
      adminGuard({
        methods: [AgentService.method.drain, AgentService.method.resume],
        ...(options.token === undefined ? {} : { token: options.token }),
      }),
    ],
    routes: (router) => {
      router.service(AgentService, {
        attach: (requests, context) => {
          noteHello(requests, routers).catch(() => undefined);
          return statuses(options, () => condition, watchers, context.signal);
        },
        drain: ({ reason }) => {
          setCondition({ isDraining: true, drainReason: reason });
          return { condition };
        },
        resume: () => {
          setCondition({ isDraining: false, drainReason: "" });
          return { condition };
        },
      });
      router.service(InferenceService, {
        chat: (request, context) => {
          note(context);
          return (options.chat ?? twoTokens)(request, context);
        },
        generate: (_request, context) => {
          note(context);
          return twoGenerated();
        },
        embed: (request, context) => {
          note(context);
          return { embeddings: request.input.map(() => ({ values: [1, 2, 3] })) };
        },
      });
    },
  });
  return {
    address: listener.address,
    get calls() {
      return calls;
    },
    get lastHeaders() {
      return lastHeaders;
    },
    get condition() {
      return condition;
    },
    routers,
    setCondition,
    drained: () => listener.drain(),
    kill: () => listener.destroy(),
  };
}

export async function* twoTokens(): AsyncGenerator<MessageInitShape<typeof ChatResponseSchema>> {
  yield { event: { case: "chunk", value: { message: { role: "assistant", content: "Hello" } } } };
  yield { event: { case: "chunk", value: { message: { role: "assistant", content: " world" } } } };
  yield { event: { case: "done", value: { completion: { doneReason: "stop" } } } };
}

/** A token, and no end until the caller leaves. */
export async function* endless(
  _request: ChatRequest,
  { signal }: HandlerContext,
): AsyncGenerator<MessageInitShape<typeof ChatResponseSchema>> {
  yield { event: { case: "chunk", value: { message: { role: "assistant", content: "Once" } } } };
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

async function noteHello(requests: AsyncIterable<AttachRequest>, routers: string[]): Promise<void> {
  for await (const { event } of requests) if (event.case === "hello") routers.push(event.value.router);
}

/** A stream that ends with `error` before anything else. */
export async function* failsWith(error: DroverError): AsyncGenerator<never> {
  yield* [];
  throw error;
}

async function* twoGenerated(): AsyncGenerator<MessageInitShape<typeof GenerateResponseSchema>> {
  yield { event: { case: "chunk", value: { response: "Hello" } } };
  yield { event: { case: "done", value: { completion: { doneReason: "stop" } } } };
}

async function* statuses(
  options: FakeAgentOptions,
  condition: () => NodeCondition,
  watchers: Set<() => void>,
  signal: AbortSignal,
): AsyncGenerator<AttachResponse> {
  const { id, name = id, incarnation = `${id}-1`, labels = {} } = options;
  const node = create(NodeIdentitySchema, { id, name, incarnation, version: "0", labels, baseWeight: 100 });
  const inventory = create(ModelInventorySchema, {
    isComplete: true,
    models: (options.models ?? ["llama3.2:1b"]).map((model) => ({
      name: model,
      digest: "d".repeat(64),
      sizeBytes: 1_000n,
      contextLength: 4096,
      capabilities: [...(options.capabilities ?? ["completion", "embedding"])],
    })),
  });
  const runners = options.isLoaded === true ? [{ model: "llama3.2:1b", state: RunnerState.LOADED, slots: 1 }] : [];
  const { queueLimit = 10 } = options;
  const load = create(NodeLoadSchema, { queueLimit, slotsPerRunner: 1, runners, ...options.load });
  yield create(AttachResponseSchema, { event: { case: "welcome", value: { node, routerSecret: `secret-of-${id}` } } });
  let sequence = 0n;
  while (!signal.aborted) {
    sequence++;
    const parts = sequence === 1n ? { inventory, load } : {};
    yield create(AttachResponseSchema, {
      event: { case: "status", value: { sequence, condition: condition(), ...parts } },
    });
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        timer.cancel();
        watchers.delete(wake);
        resolve();
      };
      const timer = systemClock.after(HEARTBEAT_MS, wake);
      watchers.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}
