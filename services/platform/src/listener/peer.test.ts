import { createContextValues } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { callIdOf, peerOf, readPeer, setCallId, setPeer } from "./peer.ts";

describe("readPeer", () => {
  it.each([
    ["127.0.0.1", true],
    ["::1", true],
    ["::ffff:127.0.0.1", true],
    ["10.0.0.1", false],
    ["::ffff:10.0.0.1", false],
    [undefined, false],
  ])("knows whether %s is this machine", (address, isLoopback) => {
    expect(readPeer(address, {})).toMatchObject({ isLoopback, isForwarded: false });
  });

  it.each([
    "origin",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-envoy-external-address",
    "x-real-ip",
    "via",
  ])("sees that somebody else may stand behind it by %s, even empty", (name) => {
    expect(readPeer("127.0.0.1", { [name]: "x" }).isForwarded).toBe(true);
    expect(readPeer("127.0.0.1", { [name]: "" }).isForwarded).toBe(true);
  });
});

it("trusts nobody where no listener told who calls", () => {
  expect(peerOf(createContextValues())).toEqual({ address: "", isLoopback: false, isForwarded: true });
  expect(callIdOf(createContextValues())).toBe("");
});

it("carries peer and call id in the context", () => {
  const peer = readPeer("::ffff:10.0.0.1", {});
  const values = setCallId(setPeer(createContextValues(), peer), "c-1");
  expect(peerOf(values)).toEqual({ address: "10.0.0.1", isLoopback: false, isForwarded: false });
  expect(callIdOf(values)).toBe("c-1");
});
