import { expect, it } from "vitest";
import { DroverError } from "./drover-error.ts";
import { META, readDurationMs, readFlag, readLabels, readMetadata, readOnOff, readText } from "./metadata.ts";

it("reads values from Headers and from node's headers, and takes empty as absent", () => {
  expect(readMetadata(new Headers({ "drover-node": " a " }), META.node)).toBe("a");
  expect(readMetadata({ "drover-node": ["a", "b"] }, META.node)).toBe("a,b");
  expect(readMetadata({ "drover-node": " " }, META.node)).toBeUndefined();
  expect(readText({ "drover-session": "s" }, META.session)).toBe("s");
  expect(readDurationMs({ "drover-max-wait-ms": "1500" }, META.maxWaitMs)).toBe(1500);
  expect(readOnOff({ "drover-resume": "OFF" }, META.resume)).toBe(false);
  expect(readOnOff({ "drover-resume": "on" }, META.resume)).toBe(true);
  expect(readFlag({ "drover-why": "1" }, META.why)).toBe(true);
  expect(readFlag({}, META.why)).toBe(false);
  expect(readLabels({ "drover-labels": "gpu=a100" }, META.labels)).toEqual(new Map([["gpu", "a100"]]));
});

it.each([
  [() => readText({ "drover-session": "x".repeat(1025) }, META.session), "drover-session"],
  [() => readDurationMs({ "drover-max-wait-ms": "5s" }, META.maxWaitMs), "drover-max-wait-ms"],
  [() => readDurationMs({ "drover-max-wait-ms": "-1" }, META.maxWaitMs), "drover-max-wait-ms"],
  [() => readDurationMs({ "drover-max-wait-ms": "1,2" }, META.maxWaitMs), "drover-max-wait-ms"],
  [() => readOnOff({ "drover-progress": "yes" }, META.progress), "drover-progress"],
  [() => readFlag({ "drover-why": "true" }, META.why), "drover-why"],
  [() => readLabels({ "drover-labels": "gpu" }, META.labels), "drover-labels"],
])("refuses a wrong value with the key's name (%#)", (read, key) => {
  const thrown = (() => {
    try {
      return read();
    } catch (error) {
      return error;
    }
  })();
  expect(thrown).toBeInstanceOf(DroverError);
  expect(thrown).toMatchObject({ kind: "malformed_request", facts: { key } });
  expect((thrown as Error).message).toContain(key);
});
