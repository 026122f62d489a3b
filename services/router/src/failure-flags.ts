/**
 * The flags that say how much trouble a router puts up with: when a node is ejected, and how often a call is tried again. Their
 * defaults are those of the library; they start nothing.
 */
import { durationMs, integer, number, option } from "@drover/platform";
import { HEALTH_DEFAULTS, type HealthOptions, RETRY_DEFAULTS, type RetryOptions } from "@drover/routing";

const GROUP = "Failing";

export const failureFlags = {
  ejectAfter: option({
    flag: "eject-after",
    value: "COUNT",
    schema: integer(1, 1_000),
    default: String(HEALTH_DEFAULTS.consecutiveFailures),
    group: GROUP,
    help: "Failures in a row after which a node, or a model on a node, gets no calls for a while.",
  }),
  ejectTimeMs: option({
    flag: "eject-time",
    value: "DURATION",
    schema: durationMs({ minMs: 100 }),
    default: `${HEALTH_DEFAULTS.baseEjectionMs / 1_000}s`,
    group: GROUP,
    help: "How long the first ejection lasts; each that follows a failed return lasts twice as long.",
  }),
  ejectTimeMaxMs: option({
    flag: "eject-time-max",
    value: "DURATION",
    schema: durationMs({ minMs: 100 }),
    default: `${HEALTH_DEFAULTS.maxEjectionMs / 1_000}s`,
    group: GROUP,
    help: "Longest ejection.",
  }),
  ejectSharePercent: option({
    flag: "eject-share",
    value: "PERCENT",
    schema: number(0, 100),
    default: String(HEALTH_DEFAULTS.maxEjectedShare * 100),
    group: GROUP,
    help: "Largest part of the nodes that is ejected at once; 0 ejects none.",
  }),
  attemptsMax: option({
    flag: "attempts-max",
    value: "COUNT",
    schema: integer(1, 100),
    default: String(RETRY_DEFAULTS.attemptsMax),
    group: GROUP,
    help: "Attempts of one call before its first token, the first included; 1 never tries again.",
  }),
  retrySharePercent: option({
    flag: "retry-share",
    value: "PERCENT",
    schema: number(0, 100),
    default: String(RETRY_DEFAULTS.budgetRatio * 100),
    group: GROUP,
    help: "Retries after failures that a node answered, as a part of the calls of the last 10 s.",
  }),
  retryReserve: option({
    flag: "retry-reserve",
    value: "COUNT",
    schema: integer(0, 100_000),
    default: String(RETRY_DEFAULTS.budgetReserve),
    group: GROUP,
    help: "Such retries on top of that in every 10 s, so that a quiet router can try again.",
  }),
};

export interface FailureConfig {
  readonly ejectAfter: number;
  readonly ejectTimeMs: number;
  readonly ejectTimeMaxMs: number;
  readonly ejectSharePercent: number;
  readonly attemptsMax: number;
  readonly retrySharePercent: number;
  readonly retryReserve: number;
}

export function failureProblems({ ejectTimeMs, ejectTimeMaxMs }: FailureConfig): readonly string[] {
  return ejectTimeMs <= ejectTimeMaxMs ? [] : ["--eject-time: must not be longer than --eject-time-max"];
}

export function healthOptions(config: FailureConfig): Partial<HealthOptions> {
  return {
    consecutiveFailures: config.ejectAfter,
    baseEjectionMs: config.ejectTimeMs,
    maxEjectionMs: config.ejectTimeMaxMs,
    maxEjectedShare: config.ejectSharePercent / 100,
  };
}

export function retryOptions(config: FailureConfig): Partial<RetryOptions> {
  return {
    attemptsMax: config.attemptsMax,
    budgetRatio: config.retrySharePercent / 100,
    budgetReserve: config.retryReserve,
  };
}
