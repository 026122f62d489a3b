import { expect, test } from "vitest";
import { doesPrefillOutliveCancel } from "./ollama-version.ts";

test.each([
  ["0.24.0", true],
  ["0.29.9", true],
  ["0.30.0", false],
  ["0.33.0-rc2", false],
  ["v0.31.1", false],
  ["1.0.0", false],
  ["0.0.0", true],
  ["", true],
  ["unknown", true],
])("a prefill of Ollama %j goes on after its caller has left: %s", (version, doesOutlive) => {
  expect(doesPrefillOutliveCancel(version)).toBe(doesOutlive);
});
