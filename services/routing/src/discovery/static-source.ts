/**
 * A fixed list of endpoints, from `--nodes`.
 */
import type { MembershipSource, MembershipUpdate } from "./membership.ts";

/** `endpoints` are host:port; one that is named twice counts once. */
export function createStaticSource(endpoints: readonly string[]): MembershipSource {
  return {
    name: "static",
    status: () => ({ answeredMs: 0, trouble: "", suspicion: "" }),
    async *watch(signal): AsyncIterable<MembershipUpdate> {
      yield { kind: "reset", members: [...new Set(endpoints)].map((endpoint) => ({ endpoint })) };
      await aborted(signal);
    },
  };
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
