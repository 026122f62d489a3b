/**
 * How the nodes of one call were chosen, for callers who ask (metadata drover-why). It stands around the call's picker and its
 * caller, so that calls that do not ask pay nothing for it and the call itself knows nothing of it.
 */
import { encodeGrpcMessage, LISTED_MAX, limitMessage, listed, META } from "@drover/platform";
import type { Picker, PickResult, RankedNode, Ranking } from "../balancing/picker.ts";
import type { NodeView } from "../fleet/node-view.ts";
import type { CallerStream } from "./call-request.ts";

/** Of all trailers of a call C-core takes 8 KiB; message and details need their part. */
export const WHY_BYTES_MAX = 2_048;
/** A call has at most four attempts; while it waits only the latest look counts. */
export const DECISIONS_MAX = 8;

interface Decision {
  readonly ranking: Ranking;
  /** Undefined: none. */
  readonly taken: NodeView | undefined;
  readonly isSecond: boolean;
}

export class CallWhy {
  readonly #decisions: Decision[] = [];

  /** The picker, noting what it decides. */
  watch(picker: Picker): Picker {
    return {
      hasCandidate: (request, snapshot) => picker.hasCandidate(request, snapshot),
      rank: (request, snapshot) => picker.rank(request, snapshot),
      pick: (request, snapshot) => {
        // Before the pick: afterwards it is another node's turn.
        const ranking = picker.rank(request, snapshot);
        const result = picker.pick(request, snapshot);
        this.#note({ ranking, taken: nodeOf(result), isSecond: false });
        return result;
      },
      pickFree: (request, snapshot) => {
        const ranking = picker.rank(request, snapshot);
        const result = picker.pickFree(request, snapshot);
        if (result !== undefined) this.#note({ ranking, taken: result.node, isSecond: true });
        return result;
      },
    };
  }

  /** The caller, told at the end. */
  tell(caller: CallerStream): CallerStream {
    return {
      write: (bytes) => caller.write(bytes),
      end: ({ error, trailers }) => {
        const why = encodeGrpcMessage(limitMessage(this.#inWords(), WHY_BYTES_MAX));
        caller.end({ error, trailers: why === "" ? trailers : { ...trailers, [META.why]: why } });
      },
    };
  }

  #note(decision: Decision): void {
    const last = this.#decisions.at(-1);
    // A call that waits looks again with each change of the fleet.
    if (last !== undefined && last.taken === undefined) this.#decisions.pop();
    this.#decisions.push(decision);
    if (this.#decisions.length > DECISIONS_MAX) this.#decisions.shift();
  }

  #inWords(): string {
    return this.#decisions.map(decisionWords).join(" | ");
  }
}

function nodeOf(result: PickResult): NodeView | undefined {
  return result.kind === "picked" ? result.node : undefined;
}

function decisionWords({ ranking, taken, isSecond }: Decision): string {
  const found = ranking.ranked.find(({ node }) => node.id === taken?.id);
  const beside = isSecond ? " beside one that hangs, since it can begin at once" : "";
  const choice = found === undefined ? "took no node" : `took ${rankedWords(found)}${beside}`;
  const others = ranking.ranked.filter((each) => each !== found);
  const more = others.length > LISTED_MAX ? ` and ${others.length - LISTED_MAX} more` : "";
  const before = others.length === 0 ? "" : ` before ${others.slice(0, LISTED_MAX).map(rankedWords).join(", ")}${more}`;
  return [`${ranking.policy} ${choice}${before}`, ...exclusionWords(ranking)].join("; ");
}

function rankedWords({ node, cost, terms }: RankedNode): string {
  const parts = Object.entries(terms).map(([name, value]) => `${name} ${rounded(value)}`);
  const suspect = node.isSuspect ? [node.detail] : [];
  const all = [...parts, ...suspect];
  return `${node.name} (cost ${rounded(cost)}${all.length === 0 ? "" : `: ${all.join(", ")}`})`;
}

/** Nodes with the same reason together. */
function exclusionWords({ excluded }: Ranking): string[] {
  const byReason = new Map<string, string[]>();
  for (const { node, reason } of excluded) {
    const names = byReason.get(reason);
    if (names === undefined) byReason.set(reason, [node.name]);
    else names.push(node.name);
  }
  return [...byReason].map(([reason, names]) => `not ${listed(names)}: ${reason}`);
}

function rounded(value: number): string {
  return String(Number(value.toPrecision(3)));
}
