import { create } from "@bufbuild/protobuf";
import { SimClock, silentLogger } from "@drover/platform";
import {
  type AttachRequest,
  AttachRequestSchema,
  type AttachResponse,
  type Status,
} from "@drover/proto/drover/agent/v1/agent_pb";
import {
  ModelInventorySchema,
  NodeConditionSchema,
  NodeIdentitySchema,
  NodeLoadSchema,
} from "@drover/proto/drover/fleet/v1/fleet_pb";
import { beforeEach, describe, expect, test } from "vitest";
import { AttachedRouters, MAX_ROUTERS_PER_ADDRESS } from "../status/attached-routers.ts";
import { createStatusChanges, type StatusChanges } from "../status/status-changes.ts";
import { attach } from "./attach-session.ts";

const HELLO = create(AttachRequestSchema, { event: { case: "hello", value: { router: "r", incarnation: "1" } } });
const ADDRESS = "10.0.0.1";
const place = (ticket: number): AttachRequest =>
  create(AttachRequestSchema, { event: { case: "place", value: { ticket: new Uint8Array([ticket]) } } });

/** What a router sends, as it sends it. */
class Requests implements AsyncIterable<AttachRequest> {
  readonly #queue: (AttachRequest | undefined)[] = [];
  #wake: (() => void) | undefined;
  send(request: AttachRequest | undefined): void {
    this.#queue.push(request);
    this.#wake?.();
  }
  #sent(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<AttachRequest> {
    while (true) {
      while (this.#queue.length === 0) await this.#sent();
      const next = this.#queue.shift();
      if (next === undefined) return;
      yield next;
    }
  }
}

describe("an Attach stream", () => {
  let clock: SimClock;
  let requests: Requests;
  let routers: AttachedRouters;
  let changes: StatusChanges;
  let stop: AbortController;
  let cancel: AbortController;
  let queued: number;

  beforeEach(() => {
    clock = new SimClock(5_000);
    requests = new Requests();
    changes = createStatusChanges();
    routers = new AttachedRouters(() => changes.mark("load"));
    stop = new AbortController();
    cancel = new AbortController();
    queued = 0;
  });

  function open(): AsyncGenerator<AttachResponse> {
    const source = {
      identity: create(NodeIdentitySchema, { id: "id", name: "n" }),
      condition: () => create(NodeConditionSchema, { isDraining: stop.signal.aborted }),
      inventory: () => create(ModelInventorySchema, { isComplete: true }),
      load: () => create(NodeLoadSchema, { queued }),
    };
    return attach({ clock, log: silentLogger, routers, source, changes, stopSignal: stop.signal }, requests, {
      signal: cancel.signal,
      address: ADDRESS,
    });
  }

  /** Hello, welcome and the first status. */
  async function opened(): Promise<{ stream: AsyncGenerator<AttachResponse>; secret: string; first: Status }> {
    const stream = open();
    requests.send(HELLO);
    const welcome = (await stream.next()).value as AttachResponse;
    const first = await nextStatus(stream);
    return { stream, secret: welcome.event.case === "welcome" ? welcome.event.value.routerSecret : "", first };
  }

  async function nextStatus(stream: AsyncGenerator<AttachResponse>): Promise<Status> {
    const next = (await stream.next()).value as AttachResponse;
    if (next.event.case !== "status") throw new Error(`not a status but ${next.event.case}`);
    return next.event.value;
  }

  /** The next message, and how long it took to come. */
  async function later(stream: AsyncGenerator<AttachResponse>): Promise<[Status, number]> {
    const startedAtMs = clock.nowMs();
    let status: Status | undefined;
    const reading = nextStatus(stream).then((value) => {
      status = value;
    });
    for (let i = 0; i < 3_000 && status === undefined; i++) await clock.advanceAsync(1);
    await reading;
    if (status === undefined) throw new Error("nothing came");
    return [status, clock.nowMs() - startedAtMs];
  }

  test("begins with a welcome and a whole status", async () => {
    const stream = open();
    requests.send(HELLO);
    const welcome = (await stream.next()).value as AttachResponse;
    expect(welcome.event).toMatchObject({
      case: "welcome",
      value: { node: { id: "id", name: "n" }, routerSecret: expect.stringMatching(/^[0-9a-f]{32}$/) },
    });
    const first = await nextStatus(stream);
    expect(first).toMatchObject({
      sequence: 1n,
      ackedSend: 0n,
      condition: {},
      inventory: { isComplete: true },
      load: {},
    });
  });

  test("merges what changes within 50 ms into one status with the parts that changed", async () => {
    const { stream } = await opened();
    await clock.advanceAsync(100);
    const next = later(stream);
    await clock.advanceAsync(5);
    queued = 1;
    changes.mark("load");
    await clock.advanceAsync(30);
    queued = 2;
    changes.mark("load");
    const [status] = await next;
    expect(status).toMatchObject({ sequence: 2n, load: { queued: 2 } });
    expect([status.condition, status.inventory]).toEqual([undefined, undefined]);
  });

  test("gives a sign of life each second when nothing changes", async () => {
    const { stream } = await opened();
    const [beat, afterMs] = await later(stream);
    expect(afterMs).toBe(1_000);
    expect([beat.condition, beat.inventory, beat.load]).toEqual([undefined, undefined, undefined]);
    expect(beat.sequence).toBe(2n);
  });

  test("acknowledges a send with the load that counts it, and never before", async () => {
    const { stream, secret } = await opened();
    const router = routers.find(secret);
    if (router === undefined) throw new Error("the router is not known");
    routers.acknowledge(router, 7);
    const [status] = await later(stream);
    expect(status).toMatchObject({ ackedSend: 7n, load: {} });
    changes.mark("condition");
    router.ackedSend = 8;
    expect((await later(stream))[0]).toMatchObject({ ackedSend: 7n, condition: {} });
    routers.acknowledge(router, 3);
    expect(router.ackedSend).toBe(8);
  });

  test("drops tickets at once, before any status, because none are handed out yet", async () => {
    const { stream } = await opened();
    changes.mark("load");
    requests.send(place(1));
    requests.send(place(2));
    await clock.advanceAsync(0);
    for (const ticket of [1, 2]) {
      const answer = (await stream.next()).value as AttachResponse;
      expect(answer.event).toMatchObject({
        case: "dropped",
        value: { ticket: new Uint8Array([ticket]), reason: "NOT_IMPLEMENTED" },
      });
    }
  });

  test("ends when the router leaves, and forgets it", async () => {
    const { stream, secret } = await opened();
    requests.send(undefined);
    await clock.advanceAsync(0);
    expect((await stream.next()).done).toBe(true);
    expect(routers.find(secret)).toBeUndefined();
    expect(clock.pendingCount).toBe(0);
  });

  test("ends when the call is cancelled while nothing happens", async () => {
    const { stream, secret } = await opened();
    const end = stream.next();
    await clock.advanceAsync(10);
    cancel.abort();
    expect((await end).done).toBe(true);
    expect(routers.find(secret)).toBeUndefined();
    expect(clock.pendingCount).toBe(0);
  });

  test("ends with a last status when the agent stops", async () => {
    const { stream } = await opened();
    changes.mark("condition");
    stop.abort();
    expect(await nextStatus(stream)).toMatchObject({ condition: { isDraining: true } });
    expect((await stream.next()).done).toBe(true);
  });

  test("refuses a router that says something else first, nothing, or hello twice", async () => {
    requests.send(place(1));
    await expect(open().next()).rejects.toThrow("must be hello");
    requests = new Requests();
    const silent = open().next();
    silent.catch(() => undefined);
    await clock.advanceAsync(10_000);
    await expect(silent).rejects.toThrow("said nothing");
    const { stream } = await opened();
    requests.send(HELLO);
    await clock.advanceAsync(0);
    await expect(stream.next()).rejects.toThrow("hello once");
  });

  test("refuses routers over its limit", async () => {
    for (let i = 0; i < MAX_ROUTERS_PER_ADDRESS; i++)
      routers.add({ name: "r", incarnation: `x${i}`, address: ADDRESS });
    requests.send(HELLO);
    await expect(open().next()).rejects.toThrow(/64, and 8 from one address/);
  });

  test("ends when the same router opens a newer one, which goes on", async () => {
    const older = await opened();
    const end = older.stream.next();
    requests = new Requests();
    const newer = await opened();
    expect((await end).done).toBe(true);
    expect(routers.find(older.secret)).toBeUndefined();
    expect(routers.find(newer.secret)).toBeDefined();
    changes.mark("load");
    expect((await later(newer.stream))[0]).toMatchObject({ load: {} });
  });

  test("ends a router that sends and does not read", async () => {
    const { stream } = await opened();
    for (let i = 0; i <= 1_024; i++) requests.send(place(i % 256));
    await clock.advanceAsync(0);
    const read = async (): Promise<number> => {
      let count = 0;
      for (let next = await stream.next(); next.done !== true; next = await stream.next()) count++;
      return count;
    };
    await expect(read()).rejects.toThrow("does not read");
  });
});
