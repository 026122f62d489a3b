import { DroverError } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { callProfile, nodeView } from "../testing/node-views.ts";
import { FailedNodes } from "./failed-nodes.ts";
import { RETRY_DEFAULTS } from "./retry-options.ts";

const gone = new DroverError("node_unreachable", "gone");
const [a, b] = [nodeView("a"), nodeView("b")];

describe("the nodes that failed in a call", () => {
  it("are left alone for as long as the options say", () => {
    const failed = new FailedNodes(callProfile(), { ...RETRY_DEFAULTS, pauseFirstMs: 7, pauseLastMs: 9 });
    failed.add(a, gone, 0);
    expect(failed.triable()).toEqual([{ id: "id-a", notBeforeMs: 7 }]);
    failed.add(a, gone, 10);
    expect(failed.triable()).toEqual([{ id: "id-a", notBeforeMs: 19 }]);
  });

  it("may be tried again in the order of their last failures", () => {
    const failed = new FailedNodes(callProfile());
    failed.add(a, gone, 0);
    failed.add(b, gone, 10);
    expect(failed.triable().map(({ id }) => id)).toEqual(["id-a", "id-b"]);
    failed.add(a, gone, 200);
    expect(failed.triable()).toEqual([
      { id: "id-b", notBeforeMs: 110 },
      { id: "id-a", notBeforeMs: 400 },
    ]);
  });

  it("are no poison when one node's runner crashed twice", () => {
    const failed = new FailedNodes(callProfile());
    const crash = new DroverError("runner_crashed", "crashed");
    failed.add(a, crash, 0);
    failed.add(a, crash, 200);
    expect(failed.poison).toBeUndefined();
    failed.add(b, crash, 400);
    expect(failed.poison?.kind).toBe("poison");
  });
});
