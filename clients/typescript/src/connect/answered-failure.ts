/**
 * What a router's own error says about trying another router: only where it states that no node was tried, and that the reason is
 * its own and not the fleet's. Everything else is the answer to the call.
 */
import type { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { ERROR_DOMAIN } from "../errors/reasons.ts";
import { connectionError } from "./connection-error.ts";
import type { Failure } from "./router.ts";

/** It stops; it has not yet heard of the fleet, which another one may know. Reasons of the endings that routers and agents share. */
const WORDS: ReadonlyMap<string, string> = new Map([
  ["ROUTER_STOPPING", "it is stopping"],
  ["FLEET_NOT_READY", "it does not know the fleet yet"],
]);

/** A trailer of every call that reached a router's dispatch: how many attempts it made at nodes. */
const ATTEMPTS = "drover-attempts";

export function answeredFailure(error: ConnectError): Failure {
  const info = error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === ERROR_DOMAIN);
  const why = WORDS.get(info?.reason ?? "");
  // A question about the fleet makes no attempts and says none; a node that was tried may have run the call.
  const attempts = error.metadata.get(ATTEMPTS) ?? "0";
  return why !== undefined && attempts === "0" ? { kind: "never-ran", why, error } : { kind: "answered", error };
}

/** An answer that is not gRPC; undefined for one that is. `connect` has read it already, and kept only this much. */
export function notGrpcFailure(url: string, error: ConnectError): Failure | undefined {
  const status = /^HTTP (\d{3})$/.exec(error.rawMessage)?.[1];
  const type = /^unsupported content type (.*)$/.exec(error.rawMessage)?.[1];
  if (error.isWireError || (status === undefined && type === undefined)) return undefined;
  const what = status === undefined ? `with ${type === "null" ? "nothing" : type?.slice(0, 60)}` : `HTTP ${status}`;
  const message = `${url} answered ${what} instead of gRPC: is another program listening there, or a proxy without a router?`;
  return {
    kind: "answered",
    error: connectionError("PROTOCOL_ERROR", message, { facts: { router: url }, cause: error }),
  };
}
