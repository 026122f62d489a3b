import { type Logger, SimClock, silentLogger } from "@drover/platform";
import { describe, expect, it } from "vitest";
import type { MembershipSource } from "../discovery/membership.ts";
import { Fleet } from "./fleet.ts";
import { followSource } from "./follow-source.ts";

type Update = ReturnType<MembershipSource["watch"]> extends AsyncIterable<infer U> ? U : never;

const update = (endpoint: string): Update => ({ kind: "reset", members: [{ endpoint }] });

const well = { answeredMs: 0, trouble: "", suspicion: "" };

function build() {
  const errors: string[] = [];
  const log: Logger = { ...silentLogger, error: (...line: unknown[]) => void errors.push(String(line.at(-1))) };
  const openLink = () => ({ close: () => undefined });
  const fleet = new Fleet({ clock: new SimClock(), log: silentLogger, openLink, sources: ["test"] });
  const follow = (watch: MembershipSource["watch"], signal = new AbortController().signal): Promise<void> =>
    followSource({ name: "test", watch, status: () => well }, { fleet, log, signal });
  const endpoints = () => fleet.members().map((member) => member.endpoint);
  return { errors, follow, endpoints };
}

describe("following a discovery source", () => {
  it("keeps the last list of a source that ends or fails, and says so", async () => {
    const { errors, follow, endpoints } = build();
    await follow(async function* () {
      yield update("a:1");
    });
    await follow(async function* () {
      yield update("b:1");
      throw new Error("out of order");
    });
    expect(endpoints()).toEqual(["b:1"]);
    expect(errors).toEqual([
      "a discovery source ended; its last list of nodes stands",
      "a discovery source failed; its last list of nodes stands",
    ]);
  });

  it("takes nothing more and says nothing once it shall stop", async () => {
    const { errors, follow, endpoints } = build();
    const stop = new AbortController();
    await follow(async function* () {
      yield update("a:1");
      stop.abort();
      yield update("b:1");
    }, stop.signal);
    expect([endpoints(), errors]).toEqual([["a:1"], []]);
  });
});
