/**
 * Who is at the other end of a call: its address and whether somebody else may stand behind it. Filled by the listener, read by
 * guards and handlers; it judges nobody.
 */
import type { IncomingHttpHeaders } from "node:http";
import { type ContextKey, type ContextValues, createContextKey } from "@connectrpc/connect";
import { isLoopbackHost, plainAddress } from "../host-port.ts";

export interface Peer {
  /** The IP address of the connection's other end; empty when it is gone already. */
  readonly address: string;
  /** The connection comes from this machine. Says nothing about who spoke, see `isForwarded`. */
  readonly isLoopback: boolean;
  /** A browser page or a proxy speaks for somebody else: such a call is never believed to be local. */
  readonly isForwarded: boolean;
}

const NOBODY: Peer = { address: "", isLoopback: false, isForwarded: true };

const peerKey: ContextKey<Peer> = createContextKey(NOBODY, { description: "peer of the call" });
const callIdKey: ContextKey<string> = createContextKey("", { description: "id of the call" });

const abandonKey: ContextKey<() => void> = createContextKey(() => undefined, { description: "cuts the call off" });

const refusalKey: ContextKey<unknown> = createContextKey(undefined, { description: "why the call is refused unread" });

const FORWARDED_HEADERS = new Set(["origin", "forwarded", "via", "x-real-ip"]);

/** The peer of an HTTP request, for listeners and for the relay. */
export function readPeer(remoteAddress: string | undefined, headers: IncomingHttpHeaders): Peer {
  const address = plainAddress(remoteAddress ?? "");
  return { address, isLoopback: address !== "" && isLoopbackHost(address), isForwarded: isForwarded(headers) };
}

/** The peer of the call that a handler or interceptor serves; without a listener nobody who may be trusted. */
export function peerOf(values: ContextValues): Peer {
  return values.get(peerKey);
}

/** The id of the call (`drover-call`), given by the listener; empty without one. */
export function callIdOf(values: ContextValues): string {
  return values.get(callIdKey);
}

/** For listeners, and for handlers that learn the id from a trusted router. */
export function setCallId(values: ContextValues, callId: string): ContextValues {
  return values.set(callIdKey, callId);
}

/** For listeners and for tests that have none. */
export function setPeer(values: ContextValues, peer: Peer): ContextValues {
  return values.set(peerKey, peer);
}

/**
 * Cuts the call off without its trailers, for a caller that does not read: trailers wait behind what it leaves unread, and its
 * stream would stay open for as long as its connection. Does nothing without a listener.
 */
export function abandonCall(values: ContextValues): void {
  values.get(abandonKey)();
}

/** For listeners. */
export function setAbandon(values: ContextValues, abandon: () => void): ContextValues {
  return values.set(abandonKey, abandon);
}

/** For listeners: the call's headers are such that no handler may see it. */
export function setRefusal(values: ContextValues, error: unknown): ContextValues {
  return values.set(refusalKey, error);
}

/** What the call is refused with before any handler sees it; undefined for nearly all. */
export function refusalOf(values: ContextValues): unknown {
  return values.get(refusalKey);
}

function isForwarded(headers: IncomingHttpHeaders): boolean {
  return Object.keys(headers).some(
    (name) => FORWARDED_HEADERS.has(name) || name.startsWith("x-forwarded-") || name.startsWith("x-envoy-"),
  );
}
