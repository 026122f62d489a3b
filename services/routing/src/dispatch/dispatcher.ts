/**
 * Takes calls and sees each of them to its end. Owns what calls share: the room in which they wait, the budget of retries,
 * the one log line for each call.
 */
import type { Clock, DroverError, Logger, Rng } from "@drover/platform";
import type { Picker } from "../balancing/picker.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { NodeView } from "../fleet/node-view.ts";
import type { HealthGate } from "../health/health-gate.ts";
import type { AgentTransport } from "../transport/attempt.ts";
import { describeFailure } from "./attempt-outcome.ts";
import { Call } from "./call.ts";
import { type CallObserver, type CallTrace, unobserved } from "./call-observer.ts";
import type { CallerStream, CallRequest } from "./call-request.ts";
import type { CallTimes } from "./call-times.ts";
import { CallWhy } from "./call-why.ts";
import { HANG_DEFAULTS, type HangOptions } from "./hang-options.ts";
import { RetryBudget } from "./retry-budget.ts";
import { RETRY_DEFAULTS, type RetryOptions } from "./retry-options.ts";
import { WaitingRoom } from "./waiting-room.ts";

export interface DispatcherOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly log: Logger;
  readonly fleet: Fleet;
  readonly picker: Picker;
  readonly transport: AgentTransport;
  /** The one that `picker` asks; without it nobody waits for an ejected node. */
  readonly health?: HealthGate;
  /** Told of each call, for metrics and traces. */
  readonly observer?: CallObserver;
  /** Default: RETRY_DEFAULTS. */
  readonly retry?: Partial<RetryOptions>;
  /** Default: HANG_DEFAULTS. */
  readonly hang?: Partial<HangOptions>;
}

/** How a call ended, for the log and for whoever counts. */
export interface CallReport {
  readonly request: CallRequest;
  /** Undefined: OK. */
  readonly error: DroverError | undefined;
  /** The node of the last attempt. */
  readonly node: NodeView | undefined;
  readonly attempts: number;
  readonly times: CallTimes;
  /** Of the messages that the attempts sent. */
  readonly answerBytes: number;
}

/** What calls share. */
export interface DispatchParts extends DispatcherOptions {
  readonly retry: RetryOptions;
  readonly budget: RetryBudget;
  readonly hang: HangOptions;
  /** For second attempts of calls that hang. */
  readonly secondBudget: RetryBudget;
  readonly waiting: WaitingRoom;
  /** From now on no call may wait. */
  readonly isStopping: () => boolean;
  readonly onEnd: (call: Call, report: CallReport) => void;
}

/** What one call is given. */
export interface CallParts extends DispatchParts {
  readonly trace: CallTrace;
}

export class Dispatcher {
  readonly #parts: DispatchParts;
  readonly #log: Logger;
  readonly #calls = new Map<Call, CallTrace>();
  #isStopping = false;

  constructor(options: DispatcherOptions) {
    this.#log = options.log;
    const { clock } = options;
    const retry = { ...RETRY_DEFAULTS, ...options.retry };
    const hang = { ...HANG_DEFAULTS, ...options.hang };
    this.#parts = {
      ...options,
      retry,
      hang,
      budget: new RetryBudget({ clock, ratio: retry.budgetRatio, reserve: retry.budgetReserve }),
      secondBudget: new RetryBudget({
        clock,
        ratio: hang.budgetRatio,
        reserve: hang.budgetReserve,
        windowMs: 60_000,
      }),
      waiting: new WaitingRoom(options.fleet, options.clock, options.health),
      isStopping: () => this.#isStopping,
      onEnd: (call, report) => this.#ended(call, report),
    };
  }

  /** Never throws: whatever happens is said to `caller`, maybe before this returns. */
  start(request: CallRequest, caller: CallerStream): Call {
    const trace = (this.#parts.observer ?? unobserved).callBegan(request);
    const why = request.isWhyWanted ? new CallWhy() : undefined;
    const picker = why?.watch(this.#parts.picker) ?? this.#parts.picker;
    const call = new Call({ ...this.#parts, picker, trace }, request, why?.tell(caller) ?? caller);
    this.#calls.set(call, trace);
    this.#parts.budget.deposit();
    this.#parts.secondBudget.deposit();
    call.start();
    return call;
  }

  get activeCalls(): number {
    return this.#calls.size;
  }

  /** Calls among the active ones that no node can take now. */
  get waitingCalls(): number {
    return this.#parts.waiting.size;
  }

  /** Ends calls that wait for a node, and those that come or would have to wait from now on. Attempts that run go on. */
  stop(): void {
    this.#isStopping = true;
    for (const call of [...this.#calls.keys()]) call.routerStops();
  }

  close(): void {
    this.#parts.waiting.close();
  }

  #ended(call: Call, report: CallReport): void {
    this.#calls.get(call)?.callEnded(report);
    this.#calls.delete(call);
    const { request, error, node, attempts, times } = report;
    const line = {
      call: request.id,
      path: request.path,
      model: request.profile.model,
      node: node?.name,
      attempts,
      waitedMs: Math.round(times.waitedMs),
      firstTokenMs: times.firstTokenMs === undefined ? undefined : Math.round(times.firstTokenMs),
      totalMs: Math.round(times.totalMs),
    };
    if (error === undefined) this.#log.info({ ...line, status: "OK" }, "call");
    else this.#log.info({ ...line, ...describeFailure(error) }, "call");
  }
}
