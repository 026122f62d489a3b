/**
 * Counts what this router has running on each node, keyed by node id, so that the counts outlive pickers and snapshots.
 *
 * A node's own load says what all routers run there, but it is up to 50 ms old. What this router sent since then is added
 * here: a send counts as unacknowledged until the node's status takes it into account, or until it ends.
 */
import { invariant } from "@drover/platform";
import type { NodeView } from "../fleet/node-view.ts";
import type { Lease } from "./picker.ts";

/** The count alone. */
export interface OpenLease {
  readonly send: Lease["send"];
  /** Exactly once. */
  end(): void;
}

interface NodeLedger {
  open: number;
  /** Send numbers that no status has taken into account; never more than `open`. */
  readonly unacked: Set<number>;
  /** Of the Attach stream that the acknowledgements belong to. */
  routerSecret: string;
  ackedSend: number;
}

export class LeaseLedger {
  readonly #nodes = new Map<string, NodeLedger>();
  #sends = 0;

  open(node: NodeView): OpenLease {
    const ledger = this.#ledger(node);
    const send = ++this.#sends;
    ledger.open++;
    ledger.unacked.add(send);
    let isOpen = true;
    return {
      send,
      end: () => {
        invariant(isOpen, "a lease ended twice");
        isOpen = false;
        ledger.open--;
        ledger.unacked.delete(send);
        if (ledger.open === 0) this.#nodes.delete(node.id);
      },
    };
  }

  /** How many attempts of this router run on the node. */
  openLeases(nodeId: string): number {
    return this.#nodes.get(nodeId)?.open ?? 0;
  }

  unackedSends(node: NodeView): number {
    const ledger = this.#nodes.get(node.id);
    if (ledger === undefined) return 0;
    acknowledge(ledger, node);
    return ledger.unacked.size;
  }

  /** Over all nodes; a leak check asserts 0. */
  get openTotal(): number {
    let total = 0;
    for (const ledger of this.#nodes.values()) total += ledger.open;
    return total;
  }

  #ledger(node: NodeView): NodeLedger {
    const known = this.#nodes.get(node.id);
    if (known !== undefined) {
      acknowledge(known, node);
      return known;
    }
    const ledger: NodeLedger = {
      open: 0,
      unacked: new Set(),
      routerSecret: node.routerSecret,
      ackedSend: node.ackedSend,
    };
    this.#nodes.set(node.id, ledger);
    return ledger;
  }
}

function acknowledge(ledger: NodeLedger, node: NodeView): void {
  if (ledger.routerSecret !== node.routerSecret) {
    // A new Attach stream began with a full status: what was sent before is in it, or was lost with the old agent.
    ledger.routerSecret = node.routerSecret;
    ledger.ackedSend = node.ackedSend;
    ledger.unacked.clear();
    return;
  }
  if (ledger.ackedSend >= node.ackedSend) return;
  ledger.ackedSend = node.ackedSend;
  // A Set iterates in the order of insertion, which is the order of numbers.
  for (const send of ledger.unacked) {
    if (send > node.ackedSend) break;
    ledger.unacked.delete(send);
  }
}
