// The watch of Consul, all of it, on real HTTP: every fault that a Consul, or a proxy before one, was seen to have.
import { type Clock, type Logger, silentLogger, systemClock } from "@drover/platform";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createConsulSource } from "../discovery/consul/consul-source.ts";
import type { MembershipSource } from "../discovery/membership.ts";
import { type ConsulHttpLimits, openConsulHttp } from "./consul-http.ts";
import {
  bodyOf,
  type FakeAnswer,
  type FakeConsul,
  fakeEntry,
  listOf,
  startFakeConsul,
  statusOf,
} from "./testing/fake-consul.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface Watching {
  readonly consul: FakeConsul;
  readonly source: MembershipSource;
  readonly lines: string[];
  /** The names that a fleet would know now, sorted; undefined before the first list. */
  names(): string | undefined;
  /** Passes once the fleet knows exactly these. */
  knows(...names: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

interface WatchOptions {
  readonly clock?: Clock;
  readonly limits?: ConsulHttpLimits;
  readonly token?: string;
  readonly url?: string;
}

/** Pauses and deadlines pass 50 times as fast, so that a test of an outage takes no outage. */
const fastClock: Clock = {
  nowMs: () => systemClock.nowMs() * 50,
  wallMs: () => systemClock.wallMs(),
  after: (delayMs, action) => systemClock.after(delayMs / 50, action),
};

async function watch(options: WatchOptions = {}): Promise<Watching> {
  const consul = await startFakeConsul();
  const clock = options.clock ?? fastClock;
  const lines: string[] = [];
  const note = (...line: unknown[]): void => void lines.push(line.map((part) => JSON.stringify(part)).join(" "));
  const log: Logger = { ...silentLogger, info: note, warn: note, error: note, child: () => log };
  const reader = openConsulHttp({ url: options.url ?? consul.url, token: () => options.token }, clock, options.limits);
  const source = createConsulSource({ clock, rng: { next: () => 0.5 }, log, reader, isAttached: () => true });
  const stop = new AbortController();
  const fleet = new Map<string, string>();
  let isReset = false;
  const watching = (async () => {
    for await (const update of source.watch(stop.signal)) {
      if (update.kind === "reset") fleet.clear();
      isReset ||= update.kind === "reset";
      if (update.kind === "remove") fleet.delete(update.endpoint);
      const members = update.kind === "reset" ? update.members : update.kind === "upsert" ? [update.member] : [];
      for (const { endpoint, standing } of members) {
        const state = standing?.kind === "serving" ? "" : `(${standing?.kind})`;
        fleet.set(endpoint, `${endpoint.split(":")[0]}${state}`);
      }
    }
  })();
  const names = () => (isReset ? [...fleet.values()].sort().join(" ") : undefined);
  const end = async (): Promise<void> => {
    stop.abort();
    await watching;
    await reader.close();
  };
  ends.push(() => consul.kill(), end);
  const knows = (...expected: readonly string[]) =>
    vi.waitFor(() => expect(names()).toBe(expected.join(" ")), { timeout: 5_000 });
  return { consul, source, lines, names, knows, stop: end };
}

describe("a Consul that is well", () => {
  it("is asked at once, then for what is newer, with a wait below what any release cuts", async () => {
    const { consul, knows } = await watch({ clock: systemClock, token: "secret" });
    consul.answer(listOf(7, ["a", "b"]));
    await knows("a", "b");
    await vi.waitUntil(() => consul.open === 1);
    expect(consul.questions.map(({ index, wait, token }) => [index, wait, token])).toEqual([
      ["0", "25s", "secret"],
      ["7", "25s", "secret"],
    ]);
    consul.answer(listOf(8, ["a", "b", "c"]));
    await knows("a", "b", "c");
  });

  it("is not asked more than twice at once when its list changes all the time", async () => {
    const { consul, knows } = await watch({ clock: systemClock });
    let index = 0;
    consul.always((response, question) => listOf(++index, ["a"])(response, question));
    await knows("a");
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(consul.questions.length).toBeGreaterThanOrEqual(2);
    expect(consul.questions.length).toBeLessThanOrEqual(4);
  });

  it("is let go at once when the router stops, in the middle of a wait", async () => {
    const { consul, knows, stop } = await watch({ clock: systemClock });
    consul.answer(listOf(7, ["a"]));
    await knows("a");
    await vi.waitUntil(() => consul.open === 1);
    await stop();
    await vi.waitUntil(() => consul.open === 0);
  });

  it("may stand behind a path, and may answer without compression", async () => {
    const { consul, knows } = await watch();
    consul.answer(statusOf(200, JSON.stringify([fakeEntry({ name: "a" })]), { "x-consul-index": "5" }));
    await knows("a");
  });

  it("may list what cannot be called, which is said once and does not hide the others", async () => {
    const { consul, knows, lines } = await watch();
    const entries = [fakeEntry({ name: "a" }), fakeEntry({ name: "b", port: 0 })];
    consul.answer(bodyOf(7, JSON.stringify(entries)), bodyOf(8, JSON.stringify(entries)), listOf(9, ["c"]));
    await knows("a", "c");
    expect(lines.filter((line) => line.includes("cannot be called")).length).toBe(1);
  });
});

const cut: FakeAnswer = (response) => {
  response.writeHead(200, { "x-consul-index": "9", "content-length": "1000" });
  response.write("[");
  setTimeout(() => response.destroy(), 10);
};

const cutChunked: FakeAnswer = (response) => {
  response.writeHead(200, { "x-consul-index": "9" });
  response.write(JSON.stringify([fakeEntry({ name: "x" })]).slice(0, -1));
  setTimeout(() => response.destroy(), 10);
};

const neverEnds: FakeAnswer = (response) => {
  response.writeHead(200, { "x-consul-index": "9" });
  response.write("[");
};

const slowLoris: FakeAnswer = (response) => {
  response.writeHead(200, { "x-consul-index": "9" });
  const timer = setInterval(() => response.write(" "), 20);
  response.once("close", () => clearInterval(timer));
};

const halfGzip: FakeAnswer = (response) => {
  response.writeHead(200, { "x-consul-index": "9", "content-encoding": "gzip" });
  response.end(Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b]));
};

const hangUp: FakeAnswer = (response) => void response.destroy();
const silence: FakeAnswer = () => undefined;

describe("whatever is wrong with an answer", () => {
  const outages: readonly (readonly [string, FakeAnswer, RegExp])[] = [
    ["a body that breaks off", cut, /closed the connection before the answer was whole/],
    ["a body in pieces that breaks off", cutChunked, /closed the connection before the answer was whole/],
    ["a body that never ends", neverEnds, /not answered within/],
    ["a body of one space after the other", slowLoris, /not answered within/],
    ["a question that is never answered", silence, /not answered within/],
    ["a connection that is closed", hangUp, /closed the connection/],
    ["half of a gzip stream", halfGzip, /compressed answer is broken/],
    ["no index", statusOf(200, JSON.stringify([fakeEntry({ name: "x" })])), /no X-Consul-Index/],
    ["an index that is no number", listOf("soon", ["x"]), /no X-Consul-Index/],
    ["a page of a proxy", bodyOf(9, "<html>Sign in</html>"), /no list of services/],
    ["null", bodyOf(9, "null"), /no list of services/],
    ["an object", bodyOf(9, '{"error":"x"}'), /no list of services/],
    ["a list of something else", bodyOf(9, '[{"Node":"x"}]'), /no list of services/],
    ["an array that is not closed", bodyOf(9, JSON.stringify([fakeEntry({ name: "x" })]).slice(0, -1)), /no list/],
    ["500 with an index, as Consul sends it", statusOf(500, "No cluster leader", { "x-consul-index": "1" }), /leader/],
    ["429", statusOf(429, "slow down"), /asked too much/],
    ["503", statusOf(503, ""), /cannot answer/],
    ["403", statusOf(403, "ACL not found"), /refuses the token/],
    ["400", statusOf(400, "Invalid wait time"), /refuses the question/],
    ["a redirect", statusOf(302, "", { location: "https://login.example" }), /refuses the question/],
  ];

  it.each(outages)("keeps the last list through %s, says it, and asks anew", async (_, fault, words) => {
    const { consul, knows, source, lines } = await watch();
    consul.answer(listOf(7, ["a", "b"]));
    await knows("a", "b");
    consul.answer(fault);
    await vi.waitFor(() => expect(source.status().trouble).toMatch(words), { timeout: 5_000 });
    await knows("a", "b");
    expect(lines.filter((line) => line.includes("the last list stands")).length).toBe(1);
    consul.answer(listOf(7, ["a", "b", "c"]));
    await knows("a", "b", "c");
    expect(consul.questions.at(2)?.index).toBe("0");
    expect(source.status()).toMatchObject({ trouble: "", suspicion: "" });
    expect(lines.at(-1)).toContain("Consul answers again");
  });

  it("refuses answers that are too long, as sent or inflated", async () => {
    const { consul, knows, source } = await watch({ limits: { rawBytesMax: 4_096, bodyBytesMax: 16_384 } });
    consul.answer(listOf(7, ["a"]));
    await knows("a");
    consul.answer(statusOf(200, " ".repeat(5_000), { "x-consul-index": "8" }));
    await vi.waitFor(() => expect(source.status().trouble).toBe("its answer is longer than 4096 bytes"), {
      timeout: 5_000,
    });
    consul.answer(bodyOf(9, " ".repeat(20_000)));
    await vi.waitFor(() => expect(source.status().trouble).toBe("its answer is longer than 16384 bytes"), {
      timeout: 5_000,
    });
    await knows("a");
  });

  it("waits for a Consul that is not there at the start, and takes it when it comes", async () => {
    const { consul, names, source, knows } = await watch();
    consul.answer(statusOf(500, "No cluster leader"), hangUp);
    await vi.waitUntil(() => consul.questions.length >= 2);
    expect([names(), source.status().answeredMs]).toEqual([undefined, undefined]);
    consul.always(listOf(3, []));
    await knows();
    expect(source.status().answeredMs).toBeGreaterThan(0);
  });

  it("says that nothing listens, and how long that lasted", async () => {
    const { consul, knows, source, lines } = await watch();
    consul.answer(listOf(7, ["a"]));
    await knows("a");
    await consul.kill();
    await vi.waitFor(() => expect(source.status().trouble).toMatch(/nothing listens there/), { timeout: 5_000 });
    await knows("a");
    expect(lines.length).toBe(1);
  });

  it("never tells the token", async () => {
    const { consul, knows, source, lines } = await watch({ token: "a-secret-token" });
    consul.answer(statusOf(403, "ACL not found: a-secret-token"));
    await vi.waitUntil(() => source.status().trouble !== "");
    consul.answer(listOf(7, ["a"]));
    await knows("a");
    expect(JSON.stringify([lines, source.status()])).not.toContain("a-secret-token");
  });
});

describe("lists that may be wrong", () => {
  it("keeps everybody when the list is suddenly empty, be it filtered or wiped", async () => {
    const { consul, knows, source } = await watch();
    consul.answer(listOf(7, ["a", "b"]));
    await knows("a", "b");
    consul.answer(listOf(8, [], { "x-consul-results-filtered-by-acls": "true" }));
    await vi.waitUntil(() => source.status().suspicion !== "");
    await knows("a", "b");
    consul.answer(listOf(2, []));
    await vi.waitUntil(() => consul.questions.length >= 4);
    await knows("a", "b");
    consul.answer(listOf(3, ["a"]), listOf(4, ["a", "b"]));
    await vi.waitFor(() => expect(source.status().suspicion).toBe(""), { timeout: 5_000 });
    await knows("a", "b");
  });

  it("begins anew after an index that went backwards, in place of waiting for the old one", async () => {
    const { consul, knows } = await watch();
    consul.answer(listOf(9_000, ["a"]), listOf(5, ["a"]), listOf(5, ["a", "b"]));
    await knows("a", "b");
    expect(consul.questions.map(({ index }) => index)).toEqual(["0", "9000", "0", "5"]);
  });

  it("keeps indexes that no double holds", async () => {
    const { consul, knows } = await watch();
    consul.answer(listOf("10082146174487049813", ["a"]));
    await knows("a");
    await vi.waitUntil(() => consul.open === 1);
    expect(consul.questions.at(-1)?.index).toBe("10082146174487049813");
  });

  it("does not ask in a circle when the index is 0 or never changes", async () => {
    const { consul, knows } = await watch({ clock: systemClock });
    consul.always(listOf(0, ["a"]));
    await knows("a");
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    expect(consul.questions.length).toBeLessThanOrEqual(4);
    expect(consul.questions.at(-1)?.index).toBe("1");
  });

  it("sees maintenance in the answer that brings it", async () => {
    const { consul, knows } = await watch();
    consul.answer(listOf(7, ["a", "b"]));
    await knows("a", "b");
    const checks = [{ CheckID: "_service_maintenance:a", Name: "m", Status: "critical", Notes: "new driver" }];
    consul.answer(bodyOf(8, JSON.stringify([fakeEntry({ name: "a", checks }), fakeEntry({ name: "b" })])));
    await knows("a(draining)", "b");
  });
});
