import { DroverError } from "@drover/platform";
import { describe, expect, it } from "vitest";
import type { NodeView } from "../fleet/node-view.ts";
import type { CallObserver } from "./call-observer.ts";
import type { CallRequest } from "./call-request.ts";
import type { CallReport } from "./dispatcher.ts";
import { NodeTally } from "./node-tally.ts";

const request = {} as CallRequest;
const node = { id: "one" } as NodeView;

function build() {
  const heard: string[] = [];
  const inner: CallObserver = {
    callBegan: () => ({
      attemptBegan: (number) => ({
        headers: { traceparent: `attempt-${number}` },
        attemptHung: () => undefined,
        attemptEnded: (result) => heard.push(result instanceof DroverError ? result.kind : result),
      }),
      callEnded: () => heard.push("call ended"),
    }),
  };
  const tally = new NodeTally();
  return { tally, heard, observer: tally.around(inner) };
}

describe("the tally of a node", () => {
  it("counts attempts when they end, and the tokens that the node tells", () => {
    const { tally, observer } = build();
    const call = observer.callBegan(request);
    const first = call.attemptBegan(1, node);
    expect(tally.of("one").attempts).toBe(0);
    first.attemptEnded(new DroverError("runner_crashed", "It crashed."), {});
    call.attemptBegan(2, node).attemptEnded("lost", {});
    const tokens = { "drover-prompt-tokens": "12", "drover-generated-tokens": "30" };
    call.attemptBegan(3, node).attemptEnded("ok", tokens);
    call.attemptBegan(4, node).attemptEnded("ok", tokens);
    expect(tally.of("one")).toEqual({ attempts: 4, failedAttempts: 1, promptTokens: 24, generatedTokens: 60 });
    expect(tally.of("another").attempts).toBe(0);
  });

  it("takes no harm from a node that tells nonsense", () => {
    const { tally, observer } = build();
    const trailers = { "drover-prompt-tokens": "many", "drover-generated-tokens": ["1", "2"] };
    observer.callBegan(request).attemptBegan(1, node).attemptEnded("ok", trailers);
    expect(tally.of("one")).toEqual({ attempts: 1, failedAttempts: 0, promptTokens: 0, generatedTokens: 0 });
  });

  it("hides nothing from whoever else observes", () => {
    const { heard, observer } = build();
    const call = observer.callBegan(request);
    const attempt = call.attemptBegan(7, node);
    expect(attempt.headers).toEqual({ traceparent: "attempt-7" });
    attempt.attemptEnded("ok", {});
    call.callEnded({} as CallReport);
    expect(heard).toEqual(["ok", "call ended"]);
  });

  it("forgets nodes that left the fleet", () => {
    const { tally, observer } = build();
    observer.callBegan(request).attemptBegan(1, node).attemptEnded("ok", {});
    tally.retain(new Map([["one", {}]]));
    expect(tally.of("one").attempts).toBe(1);
    tally.retain(new Map());
    expect(tally.of("one").attempts).toBe(0);
  });
});
