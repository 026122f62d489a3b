/**
 * What discovery says of an endpoint beside that it exists, from all sources that name it. Pure.
 */
import { type Member, SERVING, type Standing } from "../discovery/membership.ts";

export interface Told {
  /** Which node is said to listen there; what its agent says itself wins. */
  readonly nodeId: string | undefined;
  readonly nodeName: string | undefined;
  readonly baseWeight: number | undefined;
  readonly standing: Standing;
}

export const NOTHING_TOLD: Told = { nodeId: undefined, nodeName: undefined, baseWeight: undefined, standing: SERVING };

export function mergeTold(members: Iterable<Member>): Told {
  const all = [...members];
  return {
    nodeId: all.find((member) => member.nodeId !== undefined)?.nodeId,
    nodeName: all.find((member) => member.nodeName !== undefined)?.nodeName,
    baseWeight: all.find((member) => member.baseWeight !== undefined)?.baseWeight,
    standing: mergeStandings(all.map((member) => member.standing ?? SERVING)),
  };
}

/** What was said by somebody holds whoever else is silent about it; a guess holds only where nobody vouches for the node. */
export function mergeStandings(standings: readonly Standing[]): Standing {
  const find = (kind: Standing["kind"]): Standing | undefined => standings.find((each) => each.kind === kind);
  return find("draining") ?? find("down") ?? find("serving") ?? find("suspect") ?? SERVING;
}

export function isSameTold(a: Told, b: Told): boolean {
  return (
    a.nodeId === b.nodeId &&
    a.nodeName === b.nodeName &&
    a.baseWeight === b.baseWeight &&
    a.standing.kind === b.standing.kind &&
    reasonOf(a.standing) === reasonOf(b.standing)
  );
}

export function reasonOf(standing: Standing): string {
  return standing.kind === "serving" ? "" : standing.reason;
}
