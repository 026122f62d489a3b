/**
 * A decision on who is in the fleet, as operators see it: in the log, and in whatever else listens to the fleet.
 */
import type { Logger } from "@drover/platform";
import type { Told } from "./told.ts";

export interface MembershipEvent {
  /** `changed`: what discovery tells of it, as that it drains. */
  readonly kind: "joined" | "changed" | "left";
  readonly atMs: number;
  /** The source that said so. */
  readonly source: string;
  readonly endpoint: string;
  /** What is told of it now; of one that left, what was told last. */
  readonly told: Told;
  /** In plain words; never empty. */
  readonly reason: string;
}

export function logMembership(log: Logger, { kind, source, endpoint, told, reason }: MembershipEvent): void {
  const node = told.nodeName ?? told.nodeId;
  const fields = { ...(node === undefined ? {} : { node }), endpoint, source, reason };
  switch (kind) {
    case "joined":
      return log.info({ ...fields, standing: told.standing.kind }, "a node joined the fleet");
    case "left":
      return log.info(fields, "a node left the fleet");
    case "changed":
      return log.info({ ...fields, standing: told.standing.kind }, CHANGES[told.standing.kind]);
  }
}

const CHANGES = {
  serving: "discovery says that a node serves",
  draining: "discovery drains a node",
  down: "discovery says that a node is down",
  suspect: "discovery lost sight of a node",
} as const;
