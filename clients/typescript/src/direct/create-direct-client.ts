/**
 * A client that needs no router: the same client over a fleet that this process holds.
 */
import type { ConnectionPool } from "@drover/routing";
import { createClient, type DroverClient, type DroverClientOptions } from "../client/drover-client.ts";
import { readImageFile } from "../client/node-image-file.ts";
import type { DirectOptions } from "./direct-options.ts";
import { openDirectTransport } from "./direct-transport.ts";

export interface DirectClientOptions extends DirectOptions, Pick<DroverClientOptions, "timeoutMs" | "headers"> {}

export interface DirectClient extends DroverClient {
  /** The connections that carry calls, one entry for each endpoint of the fleet. */
  connectionPools(): readonly ConnectionPool[];
}

/**
 * Agents are looked for from now on, and calls wait until there are some. It keeps a connection to each agent until it is closed:
 * `close()`, or `await using`. An agent serves 64 such programs and routers together, 8 of them from one address.
 */
export function createDirectClient(options: DirectClientOptions): DirectClient {
  const { timeoutMs, headers, ...directOptions } = options;
  const direct = openDirectTransport(directOptions);
  try {
    const client = createClient({ openTransport: () => direct, readImageFile }, { timeoutMs, headers });
    return { ...client, connectionPools: direct.connectionPools };
  } catch (error) {
    void direct.close();
    throw error;
  }
}
