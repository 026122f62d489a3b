/** The progress messages that an agent sends. */

import { create } from "@bufbuild/protobuf";
import { protoDuration } from "@drover/platform";
import { type Progress, ProgressSchema } from "@drover/proto/drover/inference/v1/inference_pb";
import type { EntryStage } from "../queue/queue-entry.ts";

export function waitingProgress(stage: EntryStage): Progress {
  switch (stage.kind) {
    case "queued": {
      const position = stage.ahead;
      const value =
        stage.expectedMs === undefined ? { position } : { position, expectedWait: protoDuration(stage.expectedMs) };
      return create(ProgressSchema, { kind: { case: "queued", value } });
    }
    case "loading": {
      const elapsed = protoDuration(stage.elapsedMs);
      const value =
        stage.expectedMs === undefined ? { elapsed } : { elapsed, expected: protoDuration(stage.expectedMs) };
      return create(ProgressSchema, { kind: { case: "loading", value } });
    }
  }
}

export function prefillProgress(elapsedMs: number, expectedMs: number): Progress {
  const value = { elapsed: protoDuration(elapsedMs), expected: protoDuration(expectedMs) };
  return create(ProgressSchema, { kind: { case: "prefill", value } });
}
