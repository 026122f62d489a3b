/**
 * A figure as every benchmark prints it: one line, for people or as JSON.
 */

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What the same run measured for the thing that it is compared with; undefined where nothing is. */
  readonly baseline?: number;
  /** What is aimed at, in the figure's own unit or as a ratio. */
  readonly goal?: string;
  /** Whether the goal is met; undefined where there is none. */
  readonly ok?: boolean;
}

export function printFigure(figure: Figure, isJson: boolean): void {
  process.stdout.write(`${isJson ? JSON.stringify(figure) : asText(figure)}\n`);
}

function asText({ name, value, unit, baseline, goal, ok }: Figure): string {
  const parts = [name.padEnd(64), `${rounded(value)} ${unit}`.padEnd(20)];
  if (baseline !== undefined) parts.push(`baseline ${rounded(baseline)}`.padEnd(20));
  if (goal !== undefined) parts.push(`goal ${goal} ${ok === true ? "met" : "missed"}`);
  return parts.join(" ").trimEnd();
}

function rounded(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

/** The value below which `share` (0..1) of `values` lie; NaN for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}
