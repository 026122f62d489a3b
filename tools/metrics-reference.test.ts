import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { METRICS_FILE, metricsReference } from "./metrics-reference.ts";

it("docs/metrics.md is what `npm run generate` writes", () => {
  expect(readFileSync(METRICS_FILE, "utf8")).toBe(metricsReference());
});
