/** Puts the parts together that are the same wherever the client runs. */

import { invalidArgument } from "../errors/drover-error.ts";
import { checkTokenOption, insecureToken } from "./bearer-token.ts";
import type { Clock, Rng } from "./clock.ts";
import type { ConnectOptions, OpenedTransport } from "./connect-options.ts";
import { createFailoverTransport } from "./failover-transport.ts";
import type { OpenRouter } from "./router.ts";
import { joinedList, type RouterList, staticList } from "./router-list.ts";
import { RouterPool } from "./router-pool.ts";
import { probeRouter } from "./router-probe.ts";

export interface JoinParts extends Pick<ConnectOptions, "token" | "allowInsecureToken"> {
  readonly clock: Clock;
  readonly rng: Rng;
  readonly open: OpenRouter;
  /** Routers that the addresses name themselves. */
  readonly urls: readonly string[];
  /** Where to ask for others. */
  readonly lists: readonly RouterList[];
}

export function joinTransport(parts: JoinParts): OpenedTransport {
  const { clock, rng, urls, open } = parts;
  checkTokenOption(parts.token);
  // Those that are known already; of others the call that would go there is told.
  const refusals = urls.flatMap((url) => insecureToken(url, parts)?.rawMessage ?? []);
  if (refusals.length > 0) throw invalidArgument(refusals.join(" "));
  const list = joinedList(urls.length === 0 ? parts.lists : [staticList(urls), ...parts.lists]);
  const pool = new RouterPool({ clock, rng, open, probe: probeRouter });
  const transport = createFailoverTransport({ ...parts, list, pool });
  return {
    transport,
    close: () => {
      list.close();
      pool.close();
    },
  };
}
