/**
 * A node, or a model on a node, with its state and the calls that run there. Tells the attempts that began before an
 * ejection from those after it: the old ones' ends say nothing of the return.
 */
import type { HealthOptions } from "./health-options.ts";
import { admitsCall, HEALTHY, isEjected, type SubjectState, stepSubject } from "./subject-state.ts";

export interface SubjectAttempt {
  readonly isCanary: boolean;
  /** Of the subject when it began. */
  readonly epoch: number;
  /** Failures that had been counted when it began. */
  readonly failuresBefore: number;
}

export class Subject {
  readonly #options: HealthOptions;
  #state: SubjectState = HEALTHY;
  /** Counts ejections and canaries that failed. */
  #epoch = 0;
  /** Attempts of this epoch. */
  #running = 0;
  /** Of all times. */
  #failuresCounted = 0;

  constructor(options: HealthOptions) {
    this.#options = options;
  }

  get state(): SubjectState {
    return this.#state;
  }

  /** Nothing that would have to be remembered. */
  get isIdleAndWell(): boolean {
    return this.#running === 0 && this.#state === HEALTHY;
  }

  admits(nowMs: number): boolean {
    return admitsCall(this.#state, this.#running, nowMs);
  }

  begin(): SubjectAttempt {
    const isCanary = this.#state.kind === "ejected";
    if (isCanary) this.#state = stepSubject(this.#state, { kind: "canary-began" }, this.#options);
    this.#running++;
    return { isCanary, epoch: this.#epoch, failuresBefore: this.#failuresCounted };
  }

  succeeded(attempt: SubjectAttempt, slots: number): void {
    if (!this.#leave(attempt)) return;
    this.#state = stepSubject(this.#state, { kind: "succeeded", slots }, this.#options);
  }

  /**
   * `mayEject` is asked only where one failure more would eject. Attempts that ran side by side and fail count once: a lost
   * connection takes many calls along, and is still one failure.
   */
  failed(attempt: SubjectAttempt, atMs: number, mayEject: () => boolean): void {
    if (!this.#leave(attempt)) return;
    if (attempt.failuresBefore < this.#failuresCounted && this.#state.kind === "healthy") return;
    this.#failuresCounted++;
    const wouldEject =
      this.#state.kind === "returning" ||
      (this.#state.kind === "healthy" && this.#state.failures + 1 >= this.#options.consecutiveFailures);
    const event = { kind: "failed" as const, atMs, mayEject: !wouldEject || mayEject() };
    this.#state = stepSubject(this.#state, event, this.#options);
    if (!isEjected(this.#state)) return;
    this.#epoch++;
    this.#running = 0;
  }

  restarted(): void {
    if (isEjected(this.#state)) {
      this.#epoch++;
      this.#running = 0;
    }
    this.#state = stepSubject(this.#state, { kind: "restarted" }, this.#options);
  }

  ended(attempt: SubjectAttempt, atMs: number): void {
    if (!this.#leave(attempt) || !attempt.isCanary) return;
    this.#state = stepSubject(this.#state, { kind: "canary-lost", atMs }, this.#options);
  }

  /** False for an attempt that began before the last ejection. */
  #leave({ epoch }: SubjectAttempt): boolean {
    if (epoch !== this.#epoch) return false;
    this.#running--;
    return true;
  }
}
