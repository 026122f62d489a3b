import type { Transport } from "@connectrpc/connect";
import { SimClock, seededRng } from "@drover/platform";
import { describe, expect, it } from "vitest";
import type { Router } from "./router.ts";
import { RouterPool } from "./router-pool.ts";

const URLS = ["http://a", "http://b", "http://c"];
const NONE: ReadonlySet<string> = new Set();
const settled = () => new Promise((resolve) => setImmediate(resolve));

function bench({ seed = 1, needsProof = false, urls = URLS as readonly string[] } = {}) {
  const clock = new SimClock();
  const well = new Set(urls);
  const events: string[] = [];
  const open = (url: string): Router => ({
    url,
    needsProof,
    transport: {} as Transport,
    explain: (error) => ({ kind: "answered", error }),
    retire: () => events.push(`retire ${url}`),
    close: () => events.push(`close ${url}`),
  });
  const probed: { readonly url: string; readonly atMs: number }[] = [];
  const probe = ({ url }: Router): Promise<boolean> => {
    probed.push({ url, atMs: clock.nowMs() });
    return Promise.resolve(well.has(url));
  };
  const pool = new RouterPool({ clock, rng: seededRng(seed), open, probe });
  pool.update(urls);
  const pick = (tried = NONE): Router => {
    const router = pool.pick(tried);
    if (router === undefined) throw new Error("none");
    return router;
  };
  return { clock, pool, pick, well, probed, events };
}

describe("the routers of a client", () => {
  it("have an order that each client draws for itself, and keeps", () => {
    const firsts = Array.from({ length: 300 }, (_, seed) => {
      const { pick } = bench({ seed });
      const { url } = pick();
      expect(pick().url).toBe(url);
      return url;
    });
    for (const url of URLS) expect(firsts.filter((first) => first === url).length).toBeGreaterThan(60);
  });

  it("are each picked once for a call", () => {
    const { pool } = bench();
    const tried = new Set<string>();
    for (let router = pool.pick(tried); router !== undefined; router = pool.pick(tried)) tried.add(router.url);
    expect([...tried].sort()).toEqual(URLS);
  });

  it("are avoided when they failed, and the client comes back to its first once a health check is well", async () => {
    const { clock, pool, pick, probed } = bench();
    const first = pick();
    pool.failed(first);
    const second = pick();
    expect(second.url).not.toBe(first.url);
    clock.advance(799);
    expect(pick()).toBe(second);
    expect(probed).toEqual([]);
    clock.advance(401);
    // Asked beside the call, which does not wait for it.
    expect(pick()).toBe(second);
    expect(probed.map(({ url }) => url)).toEqual([first.url]);
    await settled();
    expect(pick()).toBe(first);
  });

  it("are asked ever more rarely while they are not well, at most half a minute apart", async () => {
    const { clock, pool, pick, well, probed } = bench();
    const first = pick();
    well.delete(first.url);
    pool.failed(first);
    for (let passed = 0; passed < 300_000; passed += 100) {
      clock.advance(100);
      pick();
      await settled();
    }
    const gaps = probed.slice(1).map(({ atMs }, index) => atMs - (probed[index]?.atMs ?? 0));
    expect(gaps[0]).toBeLessThan(2_100);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(36_200);
    expect(probed.length).toBeLessThan(20);
    expect(probed.every(({ url }) => url === first.url)).toBe(true);
  }, 20_000);

  it("count calls that fail together as one failure", async () => {
    const { clock, pool, pick, probed } = bench();
    const first = pick();
    for (let call = 0; call < 200; call++) pool.failed(first);
    clock.advance(1_201);
    pick();
    expect(probed).toHaveLength(1);
  });

  it("are picked all the same when all of them failed, the one first whose time comes first", () => {
    const { clock, pool, pick } = bench();
    const first = pick();
    pool.failed(first);
    clock.advance(500);
    for (const url of URLS) pool.failed(pick(new Set(URLS.filter((other) => other !== url))));
    expect(pick()).toBe(first);
  });

  it("are well again when a call to them worked", () => {
    const { pool, pick } = bench();
    const first = pick();
    pool.failed(first);
    pool.worked(first);
    expect(pick()).toBe(first);
  });

  it("that are no longer listed are retired, those that stay are kept, all are closed at the end", () => {
    const { pool, pick, events } = bench();
    const kept = pick(new Set(["http://b", "http://c"]));
    pool.update(["http://a", "http://d"]);
    expect(events).toEqual(["retire http://b", "retire http://c"]);
    expect(pick(new Set(["http://d"]))).toBe(kept);
    pool.close();
    expect(events.slice(2).sort()).toEqual(["close http://a", "close http://d"]);
    expect(pool.pick(NONE)).toBeUndefined();
  });

  it("without another one are never asked for their health", () => {
    const { clock, pool, pick, probed } = bench({ urls: ["http://a"], needsProof: true });
    pool.failed(pick());
    clock.advance(60_000);
    expect(pool.prove(pick())).toBe(true);
    expect(probed).toEqual([]);
  });

  it("whose failures prove nothing are asked before a call goes to them", async () => {
    const { pool, pick, well } = bench({ needsProof: true });
    well.delete(bench().pick().url);
    const first = pick();
    expect(await pool.prove(first)).toBe(false);
    const second = pick(new Set([first.url]));
    expect(await pool.prove(second)).toBe(true);
    expect(pool.prove(second)).toBe(true);
  });
});
