/** Keeps an operator's drain in the state directory. A drain that cannot be kept still stands until the process ends. */
import type { Logger, StateDir } from "@drover/platform";
import type { DrainMemory } from "./node-condition.ts";

const FILE = "drain.json";

export function createDrainMemory(stateDir: Pick<StateDir, "read" | "write">, log: Logger): DrainMemory {
  const reason = parse(stateDir.read(FILE));
  if (reason !== undefined)
    log.warn({ reason }, "the node is still drained, as before this start; ResumeNode ends that");
  return {
    reason,
    keep: (next) => {
      try {
        stateDir.write(FILE, next === undefined ? undefined : `${JSON.stringify({ reason: next })}\n`);
      } catch (err) {
        log.error({ err }, "the drain could not be written to the state directory; a restart of this agent forgets it");
      }
    },
  };
}

/** A file that was damaged counts as a drain: someone wanted one, and an operator who looks is told. */
function parse(content: string | undefined): string | undefined {
  if (content === undefined) return undefined;
  try {
    const { reason } = JSON.parse(content) as { readonly reason?: unknown };
    return typeof reason === "string" ? reason : "drained before this start";
  } catch {
    return "drained before this start";
  }
}
