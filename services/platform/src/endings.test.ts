import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { DroverError, InvariantError, invariant } from "./drover-error.ts";
import { ENDINGS, type EndingKind, kindOfReason, reasonOf } from "./endings.ts";

const kinds = Object.keys(ENDINGS) as EndingKind[];

describe("ENDINGS", () => {
  it.each(kinds)("names %s by a reason and finds it back", (kind) => {
    expect(reasonOf(kind)).toMatch(/^[A-Z]+(_[A-Z]+)*$/);
    expect(kindOfReason(reasonOf(kind))).toBe(kind);
  });

  it("knows no reason of others, nor of the language", () => {
    for (const reason of ["", "NO_SUCH_REASON", "constructor", "__proto__", "toString"])
      expect(kindOfReason(reason)).toBeUndefined();
  });

  it("never tries another node for what the request itself or our own bug caused", () => {
    for (const kind of [
      "malformed_request",
      "request_rejected",
      "deadline_exceeded",
      "cancelled",
      "internal",
    ] as const) {
      expect(ENDINGS[kind]).toMatchObject({ elsewhere: "never", blame: "nobody" });
    }
  });
});

describe("DroverError", () => {
  it("carries its row of the table, facts and cause", () => {
    const cause = new Error("ECONNREFUSED");
    const error = new DroverError("node_unreachable", "Node a is away.", {
      facts: { node: "a" },
      retryAfterMs: 5,
      cause,
    });
    expect(error.ending).toEqual({ code: Code.Unavailable, elsewhere: "free", blame: "node" });
    expect(error).toMatchObject({ name: "DroverError", facts: { node: "a" }, retryAfterMs: 5, cause });
    expect(new DroverError("internal", "x")).toMatchObject({ facts: {}, retryAfterMs: undefined });
  });
});

it("invariant throws its own error only when it is broken", () => {
  invariant(true, "fine");
  expect(() => invariant(false, "count below zero")).toThrow(InvariantError);
});
