/**
 * The routers that hold an Attach stream: their secrets, and what each has sent that the agent has counted. A call is
 * believed to come from a router only when it carries that router's secret.
 */
import { randomSecret } from "@drover/platform";

/** A fleet has a handful of routers; more is a mistake, or somebody who wants our memory. */
export const MAX_ATTACHED_ROUTERS = 64;

/** Whoever reaches the agent may attach; one machine must not take the places of all others. */
export const MAX_ROUTERS_PER_ADDRESS = 8;

/** Who attaches. */
export interface RouterHello {
  /** For people. */
  readonly name: string;
  /** Made when the router's process started; empty replaces nobody. */
  readonly incarnation: string;
  /** IP address of the peer. */
  readonly address: string;
}

export interface AttachedRouter extends RouterHello {
  /** What the router's calls carry as `drover-router`. Never logged. */
  readonly secret: string;
  /** The highest `drover-send` that was counted; 0 before the first. */
  ackedSend: number;
  /** Aborted when a newer stream of the same router took its place. */
  readonly replaced: AbortSignal;
}

interface Place {
  readonly router: AttachedRouter;
  readonly replace: AbortController;
}

export class AttachedRouters {
  readonly #bySecret = new Map<string, Place>();
  readonly #onAcknowledge: () => void;

  constructor(onAcknowledge: () => void) {
    this.#onAcknowledge = onAcknowledge;
  }

  /**
   * Undefined when there are too many. The older stream of the same router ends: its connection is most likely dead. Only from
   * the same address, so that knowing a router's incarnation does not suffice to push it out.
   */
  add(hello: RouterHello): AttachedRouter | undefined {
    const neighbours = [...this.#bySecret.values()].filter(({ router }) => router.address === hello.address);
    const older = neighbours.find(({ router }) => hello.incarnation !== "" && router.incarnation === hello.incarnation);
    if (older !== undefined) {
      this.remove(older.router);
      older.replace.abort();
    } else if (this.#bySecret.size >= MAX_ATTACHED_ROUTERS || neighbours.length >= MAX_ROUTERS_PER_ADDRESS) {
      return undefined;
    }
    const replace = new AbortController();
    const router: AttachedRouter = { ...hello, secret: randomSecret(), ackedSend: 0, replaced: replace.signal };
    this.#bySecret.set(router.secret, { router, replace });
    return router;
  }

  remove(router: AttachedRouter): void {
    this.#bySecret.delete(router.secret);
  }

  /** The router whose secret a call carries. */
  find(secret: string | undefined): AttachedRouter | undefined {
    return secret === undefined ? undefined : this.#bySecret.get(secret)?.router;
  }

  /** Notes that a call of this router is counted in the load from now on. */
  acknowledge(router: AttachedRouter, send: number): void {
    if (send <= router.ackedSend) return;
    router.ackedSend = send;
    this.#onAcknowledge();
  }
}
