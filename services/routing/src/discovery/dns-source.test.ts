import { SimClock, seededRng, silentLogger } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { ADDRESSES_MAX, ASK_AGAIN_MS, ASK_EVERY_MS, createDnsSource, type DnsAnswer, HOLD_MS } from "./dns-source.ts";

const found = (...addresses: string[]): DnsAnswer => ({ kind: "addresses", addresses });
const failed: DnsAnswer = { kind: "failed", reason: "no name server answers" };

/** A source for these names, whose answers and attached agents the test sets. */
function watching(...hosts: string[]) {
  const clock = new SimClock();
  const answers = new Map<string, DnsAnswer>();
  const attached = new Set<string>();
  const asked: string[] = [];
  const resets: (readonly string[])[] = [];
  const stop = new AbortController();
  const source = createDnsSource({
    clock,
    rng: seededRng(1),
    log: silentLogger,
    names: hosts.map((host) => ({ host, port: 50_052 })),
    lookUp: async (host) => {
      asked.push(host);
      return answers.get(host) ?? failed;
    },
    isAttached: (endpoint) => attached.has(endpoint),
  });
  const follow = async (): Promise<void> => {
    for await (const update of source.watch(stop.signal)) {
      if (update.kind === "reset") resets.push(update.members.map(({ endpoint }) => endpoint));
    }
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  const pass = async (ms: number): Promise<void> => {
    for (let leftMs = ms; leftMs > 0; leftMs -= 100) {
      clock.advance(Math.min(leftMs, 100));
      await settle();
    }
  };
  const start = (): Promise<void> => {
    void follow();
    return settle();
  };
  return { clock, source, answers, attached, asked, resets, stop, start, pass, settle };
}

const A = "10.0.0.1:50052";
const B = "10.0.0.2:50052";

describe("a discovery source that asks DNS", () => {
  it("names every address of every name, IPv6 too, at the name's port", async () => {
    const dns = watching("one", "two");
    dns.answers.set("one", found("10.0.0.2", "10.0.0.1", "10.0.0.1"));
    dns.answers.set("two", found("fd00::7"));
    await dns.start();
    expect(dns.resets).toEqual([[A, B, "[fd00::7]:50052"]]);
    expect(dns.source.status()).toEqual({ answeredMs: 0, trouble: "", suspicion: "" });
  });

  it("asks again every 30 s, and tells nothing as long as nothing changed", async () => {
    const dns = watching("one");
    dns.answers.set("one", found("10.0.0.1"));
    dns.attached.add(A);
    await dns.start();
    await dns.pass(ASK_EVERY_MS * 4);
    expect(dns.asked.length).toBeGreaterThanOrEqual(5);
    expect(dns.asked.length).toBeLessThanOrEqual(6);
    expect(dns.resets).toEqual([[A]]);
  });

  it("asks sooner while an address does not answer, so that a replaced machine is found", async () => {
    const dns = watching("one");
    dns.answers.set("one", found("10.0.0.1"));
    await dns.start();
    dns.answers.set("one", found("10.0.0.2"));
    await dns.pass(ASK_AGAIN_MS);
    expect(dns.resets).toEqual([[A], [B]]);
  });

  it("keeps an address for a minute that is missing while its agent talks", async () => {
    const dns = watching("one");
    dns.answers.set("one", found("10.0.0.1", "10.0.0.2"));
    dns.attached.add(A).add(B);
    await dns.start();
    dns.answers.set("one", found("10.0.0.2"));
    await dns.pass(HOLD_MS - ASK_EVERY_MS);
    expect(dns.resets).toEqual([[A, B]]);
    await dns.pass(ASK_EVERY_MS * 2);
    expect(dns.resets).toEqual([[A, B], [B]]);
  });

  it("keeps what it knows while DNS fails or says that there is nothing, and asks with growing pauses", async () => {
    const dns = watching("one");
    dns.answers.set("one", found("10.0.0.1"));
    await dns.start();
    dns.answers.set("one", found());
    await dns.pass(ASK_AGAIN_MS);
    expect(dns.source.status().trouble).toBe("one: it has no addresses");
    dns.answers.set("one", failed);
    const before = dns.asked.length;
    await dns.pass(60_000);
    expect(dns.resets).toEqual([[A]]);
    expect(dns.source.status()).toMatchObject({ answeredMs: 0, trouble: "one: no name server answers" });
    // 0.5, 1, 2, 4, 8, 16, 30 s, each a little shorter.
    expect(dns.asked.length - before).toBeGreaterThanOrEqual(5);
    expect(dns.asked.length - before).toBeLessThanOrEqual(9);
    dns.answers.set("one", found("10.0.0.2"));
    await dns.pass(ASK_EVERY_MS);
    expect(dns.resets).toEqual([[A], [B]]);
    expect(dns.source.status().trouble).toBe("");
  });

  it("does not let one name that fails keep the addresses of another from work", async () => {
    const dns = watching("wrong", "one");
    dns.answers.set("one", found("10.0.0.1"));
    await dns.start();
    expect(dns.resets).toEqual([[A]]);
    expect(dns.source.status().trouble).toBe("wrong: no name server answers");
  });

  it("says nothing before the first good answer: that there are no nodes is not known", async () => {
    const dns = watching("one");
    await dns.start();
    await dns.pass(ASK_EVERY_MS);
    expect(dns.resets).toEqual([]);
    expect(dns.source.status().answeredMs).toBeUndefined();
  });

  it("takes a bounded number of addresses, those that it has first", async () => {
    const dns = watching("one");
    dns.answers.set("one", found("10.0.0.1"));
    await dns.start();
    const many = Array.from({ length: ADDRESSES_MAX + 5 }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
    dns.answers.set("one", found(...many.slice(0, ADDRESSES_MAX - 1), "10.0.0.1", ...many.slice(ADDRESSES_MAX - 1)));
    await dns.pass(ASK_AGAIN_MS);
    expect(dns.resets.at(-1)).toHaveLength(ADDRESSES_MAX);
    expect(dns.resets.at(-1)).toContain(A);
    // Those that it keeps though they are missing count as well.
    dns.attached.add(A);
    dns.answers.set("one", found(...many));
    await dns.pass(ASK_AGAIN_MS);
    expect(dns.resets.at(-1)).toHaveLength(ADDRESSES_MAX);
    expect(dns.resets.at(-1)).toContain(A);
  });

  it("ends with its signal and leaves no timer", async () => {
    const dns = watching("one");
    dns.answers.set("one", found("10.0.0.1"));
    await dns.start();
    expect(dns.clock.pendingCount).toBe(1);
    dns.stop.abort();
    await dns.settle();
    expect(dns.clock.pendingCount).toBe(0);
  });
});
