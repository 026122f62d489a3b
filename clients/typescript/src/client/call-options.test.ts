import { formatLabels, parseLabels } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { inMemoryRouter, MODEL } from "../../test/in-memory-router.ts";
import { createDroverClient } from "../browser.ts";
import { DroverError } from "../errors/drover-error.ts";
import { type CallOptions, callHeaders, deadlineMs } from "./call-options.ts";

function refusal(options: CallOptions): string {
  try {
    callHeaders({}, options);
    deadlineMs(options.timeoutMs);
  } catch (error) {
    expect(error).toMatchObject({ reason: "INVALID_ARGUMENT_LOCAL", status: "INVALID_ARGUMENT" });
    return (error as DroverError).message;
  }
  return "nothing was refused";
}

describe("options of a call", () => {
  it("become the metadata of the contract", () => {
    const options: CallOptions = {
      node: "gpu-1",
      session: "chat 42",
      tenant: "team-a",
      class: "batch",
      labels: { gpu: "a100", "zone/x": "eu" },
      maxWaitMs: 1_500.7,
      why: true,
      headers: { "X-Mine": "yes", "drover-resume": "off" },
    };
    expect(callHeaders({ "X-Default": "1", "x-mine": "no" }, options)).toEqual({
      "x-default": "1",
      "x-mine": "yes",
      "drover-resume": "off",
      "drover-node": "gpu-1",
      "drover-session": "chat 42",
      "drover-tenant": "team-a",
      "drover-class": "batch",
      "drover-labels": "gpu=a100,zone/x=eu",
      "drover-max-wait-ms": "1500",
      "drover-why": "1",
    });
    expect(callHeaders({}, { why: false })).toEqual({});
  });

  it("win over headers of the same name", () => {
    expect(callHeaders({ "Drover-Node": "a" }, { headers: { "DROVER-NODE": "b" }, node: "c" })).toEqual({
      "drover-node": "c",
    });
  });

  it.each<[string, CallOptions, RegExp]>([
    ["a name that is misspelt", { timeout: 5 } as never, /no call option "timeout": signal, timeoutMs/],
    ["a node that is empty", { node: "" }, /node must be ASCII text/],
    ["a node with other letters", { node: "küche" }, /known by its id/],
    ["a session that is too long", { session: "x".repeat(1_025) }, /at most 1024 characters/],
    ["a session with a line break", { session: "a\nb" }, /session must be ASCII text/],
    ["an unknown class", { class: "urgent" as never }, /one of interactive, default, batch, not "urgent"/],
    ["a label's key", { labels: { "-gpu": "x" } }, /"-gpu" is not a label's key/],
    ["a label's value", { labels: { gpu: "a,b" } }, /value of label "gpu"/],
    ["an empty label", { labels: { gpu: "" } }, /value of label "gpu"/],
    [
      "too many labels",
      { labels: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, "v"])) },
      /at most 32/,
    ],
    ["a negative wait", { maxWaitMs: -1 }, /maxWaitMs must be 0 to 99999999 ms, not -1/],
    ["a wait that is no number", { maxWaitMs: Number.NaN }, /maxWaitMs/],
    ["a deadline of 0", { timeoutMs: 0 }, /timeoutMs must be above 0, not 0; leave it out/],
    ["a deadline that is no number", { timeoutMs: Number.NaN }, /timeoutMs/],
  ])("are refused before anything is sent: %s", (_, options, words) => {
    expect(refusal(options)).toMatch(words);
  });

  it("have room for 32 labels, in a spelling that Drover reads", () => {
    const labels = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`k${i}`, "v"]));
    const text = callHeaders({}, { labels })["drover-labels"] ?? "";
    expect(formatLabels(parseLabels(text) as ReadonlyMap<string, string>)).toBe(text);
  });

  it("make a deadline of whole ms that gRPC can carry", () => {
    expect([0.4, 1_234.5, 1e12, Number.POSITIVE_INFINITY, undefined].map(deadlineMs)).toEqual([
      1,
      1_234,
      99_999_999,
      99_999_999,
      undefined,
    ]);
  });

  it("reach the other side with the client's own headers and deadline", async () => {
    const { transport, headers } = inMemoryRouter({ embed: () => ({}) });
    const client = createDroverClient({ transport, headers: { "X-App": "notes" }, timeoutMs: 5_000 });
    await client.embed({ model: MODEL, input: "a" }, { session: "s", headers: { "x-call": "1" } });
    await client.embed({ model: MODEL, input: "a" }, { timeoutMs: 700 });
    const [first, second] = headers;
    const sent = (name: string) => first?.get(name);
    expect([sent("x-app"), sent("x-call"), sent("drover-session")]).toEqual(["notes", "1", "s"]);
    expect([sent("connect-timeout-ms"), second?.get("connect-timeout-ms")]).toEqual(["5000", "700"]);
  });

  it("fail the call, not the program, when they are wrong", async () => {
    const { transport, requests } = inMemoryRouter({});
    const client = createDroverClient({ transport });
    const stream = client.chat({ model: MODEL, messages: [] }, { class: "urgent" as never });
    await expect(stream.text()).rejects.toMatchObject({ reason: "INVALID_ARGUMENT_LOCAL" });
    const embedding = client.embed({ model: MODEL, input: "a" }, { headers: { "a b": "c" } });
    await expect(embedding).rejects.toBeInstanceOf(DroverError);
    expect(requests).toEqual([]);
  });
});

describe("options of a client", () => {
  it("are refused when they are wrong or name two ways to the router", () => {
    const { transport } = inMemoryRouter({});
    expect(() => createDroverClient({ transport, address: "a:1" })).toThrow(/Give `transport`, or `address`/);
    expect(() => createDroverClient({ timeoutMs: -5 })).toThrow(DroverError);
    expect(() => createDroverClient({ adress: "a:1" } as never)).toThrow(
      /adress is not known; there are address, token/,
    );
  });
});
