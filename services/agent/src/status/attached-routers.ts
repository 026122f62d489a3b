/**
 * The routers that hold an Attach stream: their secrets, and what each has sent that the agent has counted. A call is
 * believed to come from a router only when it carries that router's secret.
 */
import { randomSecret } from "@drover/platform";

/** A fleet has a handful of routers; more is a mistake, or somebody who wants our memory. */
export const MAX_ATTACHED_ROUTERS = 64;

export interface AttachedRouter {
  /** For people. */
  readonly name: string;
  readonly incarnation: string;
  /** What the router's calls carry as `drover-router`. Never logged. */
  readonly secret: string;
  /** The highest `drover-send` that was counted; 0 before the first. */
  ackedSend: number;
}

export class AttachedRouters {
  readonly #bySecret = new Map<string, AttachedRouter>();
  readonly #onAcknowledge: () => void;

  constructor(onAcknowledge: () => void) {
    this.#onAcknowledge = onAcknowledge;
  }

  /** Undefined when there are too many. */
  add(name: string, incarnation: string): AttachedRouter | undefined {
    if (this.#bySecret.size >= MAX_ATTACHED_ROUTERS) return undefined;
    const router: AttachedRouter = { name, incarnation, secret: randomSecret(), ackedSend: 0 };
    this.#bySecret.set(router.secret, router);
    return router;
  }

  remove(router: AttachedRouter): void {
    this.#bySecret.delete(router.secret);
  }

  /** The router whose secret a call carries. */
  find(secret: string | undefined): AttachedRouter | undefined {
    return secret === undefined ? undefined : this.#bySecret.get(secret);
  }

  /** Notes that a call of this router is counted in the load from now on. */
  acknowledge(router: AttachedRouter, send: number): void {
    if (send <= router.ackedSend) return;
    router.ackedSend = send;
    this.#onAcknowledge();
  }
}
