import { expect, it } from "vitest";
import { formatLabels, isLabels, MAX_LABELS, parseLabels } from "./labels.ts";

it("reads and writes labels in their order", () => {
  const labels = parseLabels(" zone=eu , gpu=a100");
  expect(isLabels(labels) && formatLabels(labels)).toBe("zone=eu,gpu=a100");
  expect(parseLabels("  ")).toEqual(new Map());
});

it.each([
  "a",
  "a=",
  "=b",
  "a=b,",
  "a=b=c",
  "a=1,a=2",
  "a b=c",
  "a=b c",
  "-a=b",
  `${"k".repeat(64)}=v`,
  `k=${"v".repeat(256)}`,
])("says what is wrong with %j", (text) => {
  const labels = parseLabels(text);
  expect(isLabels(labels) ? undefined : labels.problem).toBeTypeOf("string");
});

it("holds a bounded number of labels", () => {
  const many = (count: number): string => Array.from({ length: count }, (_, index) => `k${index}=v`).join(",");
  expect(isLabels(parseLabels(many(MAX_LABELS)))).toBe(true);
  expect(parseLabels(many(MAX_LABELS + 1))).toEqual({ problem: "more than 32 labels" });
});
