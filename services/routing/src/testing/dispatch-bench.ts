/**
 * A dispatcher with everything around it played by the test: time, fleet, nodes and callers. The fleet has a clock of its
 * own, so that every timer on `clock` is one of dispatch.
 */
import { Buffer } from "node:buffer";
import { type EndingKind, type Logger, type Rng, SimClock, seededRng, silentLogger } from "@drover/platform";
import { createPicker } from "../balancing/create-picker.ts";
import { LeaseLedger } from "../balancing/lease-ledger.ts";
import type { Picker } from "../balancing/picker.ts";
import { createPolicy } from "../balancing/policies.ts";
import type { Call } from "../dispatch/call.ts";
import type { CallObserver } from "../dispatch/call-observer.ts";
import type { CallEnding, CallerStream, CallRequest } from "../dispatch/call-request.ts";
import { Dispatcher } from "../dispatch/dispatcher.ts";
import type { HangOptions } from "../dispatch/hang-options.ts";
import { NodeHealth } from "../health/node-health.ts";
import { FakeFleet, type FakeNode } from "./fake-fleet.ts";
import { frame } from "./frames.ts";
import { callProfile } from "./node-views.ts";
import { ScriptedTransport } from "./scripted-transport.ts";

/** A caller that writes down what it is told. */
export class RecordingCaller implements CallerStream {
  readonly written: Uint8Array[] = [];
  readonly endings: CallEnding[] = [];
  isFull = false;
  /** Runs within `write` and `end`, for callers that throw or do something else there. */
  onWrite: () => void = () => undefined;
  onEnd: () => void = () => undefined;

  write(bytes: Uint8Array): boolean {
    this.written.push(bytes);
    this.onWrite();
    return !this.isFull;
  }

  end(ending: CallEnding): void {
    this.endings.push(ending);
    this.onEnd();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.written);
  }

  /** "OK", the kind of its one failure, or undefined while it has not ended. */
  get outcome(): "OK" | EndingKind | undefined {
    if (this.endings.length > 1) throw new Error(`a call ended ${this.endings.length} times`);
    const [ending] = this.endings;
    return ending === undefined ? undefined : (ending.error?.kind ?? "OK");
  }

  get message(): string {
    return this.endings[0]?.error?.message ?? "";
  }

  get trailers(): CallEnding["trailers"] {
    return this.endings[0]?.trailers ?? {};
  }
}

export interface StartedCall {
  readonly call: Call;
  readonly caller: RecordingCaller;
  readonly body: { isReleased: boolean };
}

export interface DispatchBenchOptions {
  readonly rng?: Rng;
  readonly picker?: (picker: Picker) => Picker;
  readonly log?: Logger;
  /** Whether failures in a row eject, default false: tests of one call then need not mind the others. */
  readonly hasEjection?: boolean;
  readonly hang?: Partial<HangOptions>;
  readonly observer?: CallObserver;
}

export class DispatchBench {
  readonly clock = new SimClock();
  readonly fake = new FakeFleet();
  readonly transport = new ScriptedTransport();
  readonly ledger = new LeaseLedger();
  readonly health = new NodeHealth({ clock: this.clock, log: silentLogger });
  readonly dispatcher: Dispatcher;
  /** What `start` asks for unless told otherwise. */
  readonly profile = callProfile();
  #calls = 0;

  constructor(options: DispatchBenchOptions = {}) {
    const { rng = seededRng(1), picker = (own: Picker) => own, log = silentLogger, hasEjection = false } = options;
    this.dispatcher = new Dispatcher({
      clock: this.clock,
      rng,
      log,
      fleet: this.fake.fleet,
      picker: picker(createPicker(createPolicy("round-robin"), this.ledger, this.health)),
      transport: this.transport,
      health: this.health,
      ...(options.hang === undefined ? {} : { hang: options.hang }),
      ...(options.observer === undefined ? {} : { observer: options.observer }),
    });
    if (hasEjection) this.fake.fleet.onChange(() => this.health.follow(this.fake.fleet.snapshot.byId));
  }

  /** A bench whose fleet consists of these nodes, all attached and idle. */
  static of(...names: readonly string[]): DispatchBench {
    const bench = new DispatchBench();
    bench.attach(...names);
    return bench;
  }

  attach(...names: readonly string[]): void {
    this.fake.discover(...names);
    for (const name of names) this.fake.attach(name);
  }

  /** Changes one node and lets waiting calls look again. */
  async change(name: string, node: FakeNode): Promise<void> {
    this.fake.attach(name, node);
    await Promise.resolve();
  }

  start(options: Partial<CallRequest> = {}, caller = new RecordingCaller()): StartedCall {
    const body = { isReleased: false };
    const call = this.dispatcher.start(
      {
        id: `call-${++this.#calls}`,
        path: "/drover.inference.v1.InferenceService/Chat",
        isUnary: false,
        profile: this.profile,
        isProgressWanted: true,
        isWhyWanted: false,
        headers: {},
        body: {
          bytes: frame([1, 2, 3]),
          release: () => {
            body.isReleased = true;
          },
        },
        timeoutMs: undefined,
        maxWaitMs: 120_000,
        ...options,
      },
      caller,
    );
    return { call, caller, body };
  }

  /** What a call may leave behind once it ended: nothing. */
  get leftovers() {
    return {
      leases: this.ledger.openTotal,
      timers: this.clock.pendingCount,
      attempts: this.transport.running,
      active: this.dispatcher.activeCalls,
      waiting: this.dispatcher.waitingCalls,
    };
  }
}

export const NOTHING_LEFT = { leases: 0, timers: 0, attempts: 0, active: 0, waiting: 0 };
