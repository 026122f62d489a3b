/**
 * One router's Attach stream: welcome, the whole status, then what changed (merged over 50 ms) and a sign of life each second.
 * A slow router gets fewer and newer messages, never a backlog of old ones.
 */
import { create } from "@bufbuild/protobuf";
import { type Clock, DroverError, type Logger, reasonOf, type Timer } from "@drover/platform";
import {
  type AttachRequest,
  type AttachResponse,
  AttachResponseSchema,
  type Hello,
  type Status,
  StatusSchema,
} from "@drover/proto/drover/agent/v1/agent_pb";
import {
  type AttachedRouter,
  type AttachedRouters,
  MAX_ATTACHED_ROUTERS,
  MAX_ROUTERS_PER_ADDRESS,
} from "../status/attached-routers.ts";
import type { NodeStatusSource } from "../status/node-status.ts";
import { STATUS_PARTS, type StatusChanges, type StatusPart } from "../status/status-changes.ts";

export interface AttachDeps {
  readonly clock: Clock;
  readonly log: Logger;
  readonly routers: AttachedRouters;
  readonly source: NodeStatusSource;
  readonly changes: StatusChanges;
  /** Aborted when the agent stops: the stream ends after a last status. */
  readonly stopSignal: AbortSignal;
}

/** The other end of an Attach stream. */
export interface AttachCaller {
  /** Aborted when it left. */
  readonly signal: AbortSignal;
  /** Its IP address. */
  readonly address: string;
}

/** A router that opens the stream says hello with it. */
const HELLO_TIMEOUT_MS = 10_000;
const MERGE_MS = 50;
const HEARTBEAT_MS = 1_000;

/** Answers that wait for a router which sends and does not read; more means that it is broken. */
const MAX_ANSWERS = 1_024;

/** For people; at most this long in logs. */
const LONGEST_NAME = 256;

export async function* attach(
  deps: AttachDeps,
  requests: AsyncIterable<AttachRequest>,
  caller: AttachCaller,
): AsyncGenerator<AttachResponse> {
  const incoming = requests[Symbol.asyncIterator]();
  const hello = await readHello(deps.clock, incoming);
  const router = deps.routers.add({
    name: hello.router.slice(0, LONGEST_NAME),
    incarnation: hello.incarnation.slice(0, LONGEST_NAME),
    address: caller.address,
  });
  if (router === undefined) {
    const limits = `${MAX_ATTACHED_ROUTERS}, and ${MAX_ROUTERS_PER_ADDRESS} from one address`;
    const message = `Too many routers are attached to node "${deps.source.identity.name}": it takes ${limits}. Stop some of them.`;
    throw new DroverError("queue_full", message);
  }
  const session = new AttachSession(deps, router);
  const withdraw = [caller.signal, deps.stopSignal, router.replaced].map((each) => onAbort(each, () => session.stop()));
  deps.log.info({ router: router.name }, "a router attached");
  session.readOn(incoming);
  try {
    yield create(AttachResponseSchema, {
      event: { case: "welcome", value: { node: deps.source.identity, routerSecret: router.secret } },
    });
    yield* session.messages();
  } finally {
    for (const each of withdraw) each();
    session.close();
    deps.log.info({ router: router.name }, "a router left");
  }
}

class AttachSession {
  readonly #deps: AttachDeps;
  readonly #router: AttachedRouter;
  readonly #unsubscribe: () => void;
  readonly #changed = new Set<StatusPart>(STATUS_PARTS);
  readonly #answers: AttachResponse[] = [];
  #changedSinceMs: number;
  #sentAtMs: number;
  #sequence = 0n;
  #ackedSend = 0;
  #isStopped = false;
  #failure: unknown;
  #wake: (() => void) | undefined;

  constructor(deps: AttachDeps, router: AttachedRouter) {
    this.#deps = deps;
    this.#router = router;
    // Both far back: the first status goes out at once.
    this.#changedSinceMs = deps.clock.nowMs() - MERGE_MS;
    this.#sentAtMs = this.#changedSinceMs;
    this.#unsubscribe = deps.changes.subscribe((part) => this.#mark(part));
  }

  /** Ends the stream after one more status, if something changed. */
  stop(): void {
    this.#isStopped = true;
    this.#wake?.();
  }

  close(): void {
    this.stop();
    this.#unsubscribe();
    this.#deps.routers.remove(this.#router);
  }

  /** Reads the router's messages until it leaves. */
  readOn(incoming: AsyncIterator<AttachRequest>): void {
    const read = async (): Promise<void> => {
      for (let next = await incoming.next(); next.done !== true; next = await incoming.next())
        this.#receive(next.value);
    };
    read().then(
      () => this.stop(),
      (error: unknown) => {
        this.#failure = error;
        this.stop();
      },
    );
  }

  async *messages(): AsyncGenerator<AttachResponse> {
    while (true) {
      await this.#waitUntilDue();
      const isLast = this.#isStopped;
      // Claims and their kin go before status: they are awaited.
      while (this.#answers.length > 0) {
        const answer = this.#answers.shift();
        if (answer !== undefined) yield answer;
      }
      if (!isLast || this.#changed.size > 0) {
        yield create(AttachResponseSchema, { event: { case: "status", value: this.#nextStatus() } });
      }
      if (this.#failure !== undefined) throw this.#failure;
      if (isLast) return;
    }
  }

  #mark(part: StatusPart): void {
    if (this.#changed.size === 0) {
      this.#changedSinceMs = this.#deps.clock.nowMs();
      this.#wake?.();
    }
    this.#changed.add(part);
  }

  /** Tickets are not handed out yet: a router is told at once, so that it does not wait for its turn. */
  #receive({ event }: AttachRequest): void {
    switch (event.case) {
      case "place":
        return this.#answer(event.value.ticket);
      case "withdraw":
      case "gone":
      case undefined:
        return;
      case "hello":
        throw new DroverError("malformed_request", "A router says hello once, at the start of its stream.");
    }
  }

  #answer(ticket: Uint8Array): void {
    if (this.#answers.length >= MAX_ANSWERS) {
      throw new DroverError("caller_stalled", `The router does not read: ${MAX_ANSWERS} answers wait for it.`);
    }
    const value = { ticket, reason: reasonOf("not_implemented") };
    this.#answers.push(create(AttachResponseSchema, { event: { case: "dropped", value } }));
    this.#wake?.();
  }

  /** Waits for an answer to send, for the end of the merge window, for the heartbeat, or for the end. */
  async #waitUntilDue(): Promise<void> {
    while (!this.#isStopped && this.#answers.length === 0) {
      const nowMs = this.#deps.clock.nowMs();
      const dueAtMs = this.#changed.size > 0 ? this.#changedSinceMs + MERGE_MS : this.#sentAtMs + HEARTBEAT_MS;
      if (dueAtMs <= nowMs) return;
      await this.#wokenOrAfter(dueAtMs - nowMs);
    }
  }

  async #wokenOrAfter(delayMs: number): Promise<void> {
    let timer: Timer | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = this.#deps.clock.after(delayMs, resolve);
    });
    timer?.cancel();
    this.#wake = undefined;
  }

  /** What changed since the last one, as it is now. */
  #nextStatus(): Status {
    const { source, clock } = this.#deps;
    const status = create(StatusSchema, { sequence: ++this.#sequence });
    if (this.#changed.has("condition")) status.condition = source.condition();
    if (this.#changed.has("inventory")) status.inventory = source.inventory();
    if (this.#changed.has("load")) {
      status.load = source.load();
      this.#ackedSend = this.#router.ackedSend;
    }
    status.ackedSend = BigInt(this.#ackedSend);
    this.#changed.clear();
    this.#sentAtMs = clock.nowMs();
    return status;
  }
}

async function readHello(clock: Clock, incoming: AsyncIterator<AttachRequest>): Promise<Hello> {
  let timer: Timer | undefined;
  const timeout = new Promise<never>((_, reject) => {
    const error = new DroverError("malformed_request", "A router says hello when it attaches; this one said nothing.");
    timer = clock.after(HELLO_TIMEOUT_MS, () => reject(error));
  });
  try {
    const first = await Promise.race([incoming.next(), timeout]);
    if (first.done !== true && first.value.event.case === "hello") return first.value.event.value;
    throw new DroverError("malformed_request", "The first message of a router must be hello.");
  } finally {
    timer?.cancel();
  }
}

function onAbort(signal: AbortSignal, action: () => void): () => void {
  if (signal.aborted) action();
  signal.addEventListener("abort", action, { once: true });
  return () => signal.removeEventListener("abort", action);
}
