import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type MembershipUpdate, SERVING, type Standing } from "../membership.ts";
import type { ConsulInstance } from "./consul-instance.ts";
import { applyList, NOTHING_KNOWN, type PolicyState, passTime } from "./membership-policy.ts";

const drained: Standing = { kind: "draining", reason: "in maintenance in Consul" };
const down: Standing = { kind: "down", reason: "its check fails" };

function instance(name: string, rest: Partial<ConsulInstance> = {}): ConsulInstance {
  const own = { key: `m/${name}`, endpoint: `${name}:1`, nodeId: `id-${name}`, nodeName: name };
  return { ...own, baseWeight: undefined, standing: SERVING, ...rest };
}

const named = (...names: readonly string[]) => names.map((name) => instance(name));

/** Plays lists and time against the policy, and keeps what a fleet would then know. */
class Play {
  state: PolicyState = NOTHING_KNOWN;
  nowMs = 0;
  isWaiting = false;
  readonly lost = new Set<string>();
  readonly fleet = new Map<string, string>();
  readonly reasons: string[] = [];

  list(instances: readonly ConsulInstance[], options: { isRegressed?: boolean; isFiltered?: boolean } = {}): this {
    return this.#take(
      applyList(this.state, { instances, isRegressed: false, isFiltered: false, ...options }, this.#around()),
    );
  }

  /** As the source does: each second while something is held. */
  pass(seconds: number): this {
    for (let second = 0; second < seconds; second++) {
      this.nowMs += 1_000;
      if (this.isWaiting) this.#take(passTime(this.state, this.#around()));
    }
    return this;
  }

  get shown(): string {
    return [...this.fleet].map(([endpoint, kind]) => `${endpoint.split(":")[0]} ${kind}`).join(", ");
  }

  #around() {
    return { nowMs: this.nowMs, isAttached: (endpoint: string) => !this.lost.has(endpoint.split(":")[0] ?? "") };
  }

  #take({ state, updates, isWaiting }: ReturnType<typeof applyList>): this {
    this.state = state;
    this.isWaiting = isWaiting;
    for (const update of updates) this.#apply(update);
    return this;
  }

  #apply(update: MembershipUpdate): void {
    this.reasons.push(update.reason ?? "");
    if (update.kind === "reset") this.fleet.clear();
    if (update.kind === "remove") this.fleet.delete(update.endpoint);
    const members = update.kind === "reset" ? update.members : update.kind === "upsert" ? [update.member] : [];
    for (const member of members) this.fleet.set(member.endpoint, member.standing?.kind ?? "");
  }
}

describe("what is said counts at once", () => {
  it("takes the first list as it is, be it empty", () => {
    expect(new Play().list(named("a", "b")).shown).toBe("a serving, b serving");
    const empty = new Play().list([]);
    expect([empty.shown, empty.reasons, empty.state.suspicion]).toEqual(["", ["Consul lists 0"], ""]);
  });

  it("adds, drains, takes down and takes back without delay", () => {
    const play = new Play().list(named("a"));
    expect(play.list([...named("a"), instance("b", { standing: drained })]).shown).toBe("a serving, b draining");
    expect(play.list([instance("a", { standing: down }), instance("b")]).shown).toBe("a down, b serving");
    expect(play.list(named("a", "b")).shown).toBe("a serving, b serving");
    expect(play.reasons.slice(1)).toEqual([
      "in maintenance in Consul",
      "its check fails",
      "Consul says that it serves",
      "Consul says that it serves",
    ]);
  });

  it("drains and takes down the whole fleet when that is what Consul says", () => {
    const play = new Play().list(named("a", "b"));
    expect(play.list([instance("a", { standing: down }), instance("b", { standing: drained })]).shown).toBe(
      "a down, b draining",
    );
    expect(play.state.suspicion).toBe("");
  });

  it("tells a changed weight, and nothing when only the rest of an entry changed", () => {
    const play = new Play().list(named("a"));
    play.list([instance("a", { baseWeight: 300 })]);
    play.list([instance("a", { baseWeight: 300, key: "m/other" })]);
    expect(play.reasons).toEqual(["Consul lists 1", "what Consul tells of it changed"]);
  });

  it("believes maintenance, then service, of an endpoint that is registered twice", () => {
    const twice = (...standings: Standing[]) =>
      new Play().list(standings.map((standing, index) => instance("a", { key: `m/${index}`, standing }))).shown;
    expect(twice(down, SERVING)).toBe("a serving");
    expect(twice(SERVING, drained)).toBe("a draining");
  });
});

describe("what vanishes from the list", () => {
  const three = named("a", "b", "c");

  it("is kept for a minute while its agent answers, and then given up", () => {
    const play = new Play().list(three).list(named("a", "b"));
    expect(play.shown).toBe("a serving, b serving, c suspect");
    expect(play.pass(59).shown).toBe("a serving, b serving, c suspect");
    expect(play.pass(1).shown).toBe("a serving, b serving");
    expect(play.reasons.at(-1)).toBe("Consul has not listed it for 60 s");
    expect(play.isWaiting).toBe(false);
  });

  it("is given up as soon as its agent does not answer either", () => {
    const play = new Play().list(three).list(named("a", "b")).pass(10);
    play.lost.add("c");
    expect(play.pass(1).shown).toBe("a serving, b serving");
  });

  it("is as before when it comes back", () => {
    const play = new Play().list(three).list(named("a", "b")).pass(10).list(three);
    expect(play.shown).toBe("a serving, b serving, c serving");
    expect(play.reasons.at(-1)).toBe("Consul lists it again");
    expect(play.isWaiting).toBe(false);
  });

  it("is not held to a check that failed before it vanished, while its agent answers", () => {
    const play = new Play().list([...named("a", "b"), instance("c", { standing: down })]);
    expect(play.shown).toBe("a serving, b serving, c down");
    expect(play.list(named("a", "b")).shown).toBe("a serving, b serving, c suspect");
    expect(play.list([]).shown).toBe("a serving, b serving, c suspect");
    play.lost.add("c");
    expect(play.pass(1).shown).toBe("a serving, b serving, c down");
  });

  it("stays drained meanwhile, and is let go when a drained agent has left", () => {
    const play = new Play().list([...named("a", "b"), instance("c", { standing: drained })]).list(named("a", "b"));
    expect(play.shown).toBe("a serving, b serving, c draining");
    play.lost.add("c");
    expect(play.pass(1).shown).toBe("a serving, b serving");
    expect(play.reasons.at(-1)).toBe("it was drained, and left");
  });

  it("has only moved when its node is listed elsewhere", () => {
    const play = new Play().list(three).list([...named("a", "b"), instance("c", { endpoint: "d:1" })]);
    expect(play.shown).toBe("a serving, b serving, d serving");
    expect(play.reasons.at(-1)).toBe("its node moved to d:1");
    expect(play.state.suspicion).toBe("");
  });
});

describe("a list that may be wrong as a whole", () => {
  const four = named("a", "b", "c", "d");

  it("gives nobody up for a minute when more than half vanished, not even who does not answer", () => {
    const play = new Play().list(four);
    play.lost.add("b");
    play.list(named("a"));
    expect(play.shown).toBe("a serving, b serving, c serving, d serving");
    expect(play.state.suspicion).toBe("3 of 4 vanished from Consul at once");
    expect(play.pass(59).fleet.size).toBe(4);
    expect(play.pass(1).shown).toBe("a serving");
    expect(play.state.suspicion).toBe("");
  });

  it("does not doubt half", () => {
    const play = new Play().list(four).list(named("a", "b"));
    expect(play.shown).toBe("a serving, b serving, c suspect, d suspect");
    expect(play.state.suspicion).toBe("");
  });

  it("still adds and drains meanwhile", () => {
    const play = new Play().list(four).list([instance("a", { standing: drained }), instance("e")]);
    expect(play.shown).toBe("a draining, b serving, c serving, d serving, e serving");
  });

  it("is believed again as soon as everybody is back", () => {
    const play = new Play().list(four).list([]).pass(5).list(named("a")).pass(5).list(four);
    expect([play.shown, play.state.suspicion, play.isWaiting]).toEqual([
      "a serving, b serving, c serving, d serving",
      "",
      false,
    ]);
  });

  it("never loses a node whose agent answers to an empty list", () => {
    const play = new Play().list(four).list([]);
    expect(play.state.suspicion).toBe("Consul suddenly lists nobody, and listed 4 before");
    play.pass(3_600);
    expect(play.shown).toBe("a serving, b serving, c serving, d serving");
    expect(play.state.suspicion).toBe("Consul lists nobody; nodes whose agents answer are kept");
    play.lost.add("a");
    expect(play.pass(59).fleet.size).toBe(4);
    expect(play.pass(2).shown).toBe("b serving, c serving, d serving");
  });

  it("lets the last drained agent go from an empty list at once", () => {
    const play = new Play()
      .list(named("a"))
      .list([instance("a", { standing: drained })])
      .list([]);
    play.lost.add("a");
    expect(play.pass(1).shown).toBe("");
    expect(play.state.suspicion).toBe("");
  });

  it("never loses anybody to a token that hides instances", () => {
    const play = new Play().list(four);
    play.lost.add("a");
    play.list(named("b"), { isFiltered: true }).pass(3_600);
    expect(play.shown).toBe("a serving, b serving, c serving, d serving");
    expect(play.state.suspicion).toContain("token hides instances");
    expect(play.list(named("b")).pass(60).shown).toBe("b serving");
  });

  it("gives nobody up for a minute when the index went backwards", () => {
    const play = new Play().list(four);
    play.lost.add("d");
    play.list(named("a", "b", "c"), { isRegressed: true });
    expect(play.shown).toBe("a serving, b serving, c serving, d serving");
    expect(play.pass(60).shown).toBe("a serving, b serving, c serving");
  });
});

describe("an instance whose checks come and go", () => {
  it("is taken back later and later, and at once when it was quiet for a minute", () => {
    const play = new Play().list(named("a"));
    const flap = () => play.list([instance("a", { standing: down })]).list(named("a")).shown;
    expect(flap()).toBe("a serving");
    expect(flap()).toBe("a down");
    expect(play.pass(2).shown).toBe("a serving");
    expect(flap()).toBe("a down");
    expect(play.pass(7).shown).toBe("a down");
    expect(play.pass(1).shown).toBe("a serving");
    for (let round = 0; round < 10; round++) flap();
    expect(play.pass(59).shown).toBe("a down");
    expect(play.pass(1).shown).toBe("a serving");
    expect(play.pass(61) && flap()).toBe("a serving");
  });

  it("may be in and out of maintenance as often as an operator likes", () => {
    const play = new Play().list(named("a"));
    for (let round = 0; round < 10; round++) play.list([instance("a", { standing: drained })]).list(named("a"));
    expect(play.shown).toBe("a serving");
  });
});

describe("whatever Consul says", () => {
  it("shows everybody whom it lists, as it lists them but for flapping, and nobody who left a believed list for over a minute", () => {
    const standing = fc.constantFrom(SERVING, drained, down);
    const names = ["a", "b", "c", "d", "e"];
    const lists = fc.array(fc.record(Object.fromEntries(names.map((name) => [name, fc.option(standing)]))), {
      maxLength: 30,
    });
    fc.assert(
      fc.property(lists, fc.integer({ min: 0, max: 90 }), (steps, seconds) => {
        const play = new Play();
        for (const listed of steps) {
          const instances = names.flatMap((name) => {
            const said = listed[name];
            return said ? [instance(name, { standing: said })] : [];
          });
          play.list(instances).pass(seconds);
          for (const { endpoint, standing: said } of instances) {
            const shown = play.fleet.get(endpoint);
            expect([said.kind, said.kind === "serving" ? "down" : said.kind]).toContain(shown);
          }
          if (instances.length > 0 && seconds >= 60) expect(play.fleet.size).toBe(instances.length);
        }
      }),
    );
  });
});
