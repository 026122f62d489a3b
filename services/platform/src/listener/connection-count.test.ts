import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { ConnectionCount, subscriberOf } from "./connection-count.ts";

function from(remoteAddress: string): Socket {
  return Object.assign(new EventEmitter(), { remoteAddress }) as unknown as Socket;
}

describe("ConnectionCount", () => {
  it("refuses an address that has as many as it may, and no other, until one of them is closed", () => {
    const count = new ConnectionCount(2);
    const first = from("10.0.0.1");
    expect([first, from("10.0.0.1"), from("10.0.0.1"), from("10.0.0.2")].map((socket) => count.admit(socket))).toEqual([
      true,
      true,
      false,
      true,
    ]);
    first.emit("close");
    expect(count.admit(from("::ffff:10.0.0.1"))).toBe(true);
    expect(count.admit(from("10.0.0.1"))).toBe(false);
  });

  it("forgets an address without connections", () => {
    const count = new ConnectionCount(2);
    const socket = from("10.0.0.1");
    count.admit(socket);
    expect(count.size).toBe(1);
    socket.emit("close");
    expect(count.size).toBe(0);
  });

  it.each([
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:db8::9", "2001:db8:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["10.1.2.3", "10.1.2.3"],
  ])("takes %s for %s", (address, subscriber) => {
    expect(subscriberOf(address)).toBe(subscriber);
  });
});
