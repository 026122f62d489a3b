import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { protoDuration } from "@drover/platform";
import { ProgressSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import { describe, expect, it } from "vitest";
import { wordOf } from "./last-word.ts";

type Kind = NonNullable<MessageInitShape<typeof ProgressSchema>["kind"]>;

const said = (kind: Kind): string =>
  wordOf("a", { progress: create(ProgressSchema, { kind }), heardAtMs: 2_000 }, 2_500);

describe("what an agent said last", () => {
  it.each<[string, Kind]>([
    ["had the call in its queue with 3 ahead of it", { case: "queued", value: { position: 3 } }],
    ["had the call in its queue", { case: "queued", value: {} }],
    ["was loading the model for 0.8 s", { case: "loading", value: { elapsed: protoDuration(800) } }],
    ["was loading the model", { case: "loading", value: {} }],
    ["was reading the prompt for 65.0 s", { case: "prefill", value: { elapsed: protoDuration(65_000) } }],
  ])("is told with its age: it %s", (doing, kind) => {
    expect(said(kind)).toMatch(new RegExp(`^Node "a", last heard 0\\.5 s before, ${doing}\\.$`));
  });

  it("is nothing where a newer agent says what this one does not know", () => {
    expect(wordOf("a", { progress: create(ProgressSchema), heardAtMs: 0 }, 0)).toBe("");
  });
});
