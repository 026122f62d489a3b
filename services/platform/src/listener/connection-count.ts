/**
 * How many connections each address has, so that one cannot take all there are. It counts and refuses; it knows no protocol.
 */
import { isIPv6, type Socket } from "node:net";
import { plainAddress } from "../host-port.ts";

export class ConnectionCount {
  readonly #limit: number;
  readonly #byAddress = new Map<string, number>();

  constructor(limitPerAddress: number) {
    this.#limit = limitPerAddress;
  }

  /** Addresses with connections now: at most as many as the listener accepts connections. */
  get size(): number {
    return this.#byAddress.size;
  }

  /** Counts the connection until it is closed; false when its address has as many as it may. */
  admit(socket: Socket): boolean {
    const key = subscriberOf(socket.remoteAddress);
    const count = this.#byAddress.get(key) ?? 0;
    if (count >= this.#limit) return false;
    this.#byAddress.set(key, count + 1);
    socket.once("close", () => this.#leave(key));
    return true;
  }

  #leave(key: string): void {
    const count = this.#byAddress.get(key) ?? 0;
    if (count <= 1) this.#byAddress.delete(key);
    else this.#byAddress.set(key, count - 1);
  }
}

/** Who has IPv6 has a /64 of it (RFC 6177), so its first four groups stand for all. */
export function subscriberOf(remoteAddress: string | undefined): string {
  const address = plainAddress(remoteAddress ?? "");
  if (!isIPv6(address)) return address;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const after = tail === undefined || tail === "" ? 0 : tail.split(":").length;
  if (tail !== undefined) groups.push(...Array.from({ length: 8 - groups.length - after }, () => "0"));
  return `${groups
    .concat(tail === undefined || tail === "" ? [] : tail.split(":"))
    .slice(0, 4)
    .join(":")}::/64`;
}
