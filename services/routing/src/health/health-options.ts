/**
 * The numbers of ejection: their meaning, defaults and sources. Names and shape follow gRPC's outlier detection (gRFC A50),
 * whose volumes (100 calls in 10 s from 5 hosts) a handful of nodes with slow calls never reaches; so failures in a row
 * take the place of rates.
 */

export interface HealthOptions {
  /** Failures in a row that eject, of calls that did not run side by side. 1 and up. (Envoy: consecutive_5xx, 5.) */
  readonly consecutiveFailures: number;
  /** Calls in a row that showed nothing for too long and hide their node until it shows life. 1 and up. */
  readonly consecutiveHangs: number;
  /** How long the first ejection lasts, in ms. (A50: base_ejection_time, 30 s; twice that, since a load may take as long.) */
  readonly baseEjectionMs: number;
  /** Longest ejection, in ms; each one that follows a failed return doubles up to here. (A50: max_ejection_time, 300 s.) */
  readonly maxEjectionMs: number;
  /** Largest part of the nodes that may be ejected at once, 0..1. (A50: max_ejection_percent; 10 % of three nodes is none.) */
  readonly maxEjectedShare: number;
  /** How long a failed attempt still counts as a running one, in ms: what fails at once must not look idle. */
  readonly failureLoadMs: number;
}

export const HEALTH_DEFAULTS: HealthOptions = {
  consecutiveFailures: 5,
  // One may be a prompt of its own kind; a second one that nothing came from in between is the node.
  consecutiveHangs: 2,
  baseEjectionMs: 60_000,
  maxEjectionMs: 300_000,
  maxEjectedShare: 0.5,
  failureLoadMs: 10_000,
};
