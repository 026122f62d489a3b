/**
 * How an Ollama shares its memory out when it keeps two models (`OLLAMA_MAX_LOADED_MODELS=2`, `OLLAMA_NUM_PARALLEL=2`): which
 * names share a runner, who makes room, who waits for whom. Run against the simulated and the real one (server/sched.go of
 * 0.24.0); what only the simulator passes is a bug of the simulator.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type Json, type OpenCall, openCall, post, send } from "./ollama-http.ts";

export interface RoomTarget {
  readonly url: string;
  /** Two names of the same weights, and two models of other weights. */
  readonly chat: string;
  readonly twin: string;
  readonly second: string;
  readonly third: string;
  close(): Promise<unknown>;
}

export function describeOllamaRoom(title: string, start: () => Promise<RoomTarget>): void {
  describe(title, { timeout: 180_000 }, () => {
    let target: RoomTarget;
    beforeAll(async () => {
      target = await start();
    }, 180_000);
    afterAll(() => target?.close());

    const load = async (model: string, extra: Json = {}): Promise<void> => {
      const answer = await post(target.url, "/api/generate", { model, ...extra });
      expect(answer.json()).toMatchObject({ model, done_reason: "load" });
    };
    const unload = (model: string) => post(target.url, "/api/generate", { model, keep_alive: 0 });
    const write = (model: string, tokens: number, options: Json = {}): OpenCall =>
      openCall(target.url, "/api/generate", {
        method: "POST",
        body: {
          model,
          prompt: "Write a long story about a river.",
          options: { temperature: 0, num_predict: tokens, repeat_penalty: 1.3, ...options },
        },
      });
    const listed = async (): Promise<Json[]> => (await send(target.url, "/api/ps")).json()["models"] as Json[];
    const inMemory = async (): Promise<unknown[]> => (await listed()).map(({ name }) => name).sort();
    const eventually = (...names: string[]): Promise<void> =>
      vi.waitFor(async () => expect(await inMemory()).toEqual(names.sort()), { timeout: 20_000, interval: 50 });

    beforeEach(async () => {
      for (const model of [target.chat, target.second, target.third]) await unload(model);
      await eventually();
    });

    test("names of the same weights share one runner, which is listed under the name that came first", async () => {
      const { chat, twin } = target;
      await load(chat);
      const answer = await write(twin, 2).answer;
      const last = answer.lines().at(-1);
      expect(last?.["model"]).toBe(twin);
      expect(await inMemory()).toEqual([chat]);
      await unload(twin);
      await eventually();
    });

    test("names of the same weights share the slots", async () => {
      const { chat, twin } = target;
      await load(chat);
      const [first, second] = [write(chat, 200), write(twin, 200)];
      await Promise.all([first.linesReceived(2), second.linesReceived(2)]);
      const third = write(twin, 1);
      await pause(300);
      expect(third.hasHeaders()).toBe(false);
      first.destroy();
      expect((await third.answer).status).toBe(200);
      second.destroy();
    });

    test("show names the same file of weights for both", async () => {
      const weights = async (model: string): Promise<string | undefined> => {
        const shown = (await post(target.url, "/api/show", { model })).json();
        return /^FROM .*(sha256-[0-9a-f]{64})$/m.exec(String(shown["modelfile"]))?.[1];
      };
      expect(await weights(target.chat)).toMatch(/^sha256-/);
      expect(await weights(target.twin)).toBe(await weights(target.chat));
      expect(await weights(target.second)).not.toBe(await weights(target.chat));
    });

    test("the idle model with the shortest keep_alive makes room, not the one that was used longest ago", async () => {
      const { chat, second, third } = target;
      await load(second, { keep_alive: "10m" });
      await load(chat, { keep_alive: "5m" });
      await load(third);
      expect(await inMemory()).toEqual([second, third].sort());
    });

    test("an idle model makes room before a busy one, however short that one's keep_alive is", async () => {
      const { chat, second, third } = target;
      await load(second, { keep_alive: "10m" });
      await load(chat, { keep_alive: "1m" });
      const busy = write(chat, 200);
      await busy.linesReceived(2);
      await load(third);
      expect(await inMemory()).toEqual([chat, third].sort());
      busy.destroy();
    });

    test("where all are busy a load waits, others are let in before it meanwhile, and other loads wait behind it", async () => {
      const { chat, second, third } = target;
      await load(second, { keep_alive: "10m" });
      await load(chat, { keep_alive: "1m" });
      const busy = [write(second, 400), write(chat, 400)];
      await Promise.all(busy.map((call) => call.linesReceived(2)));
      const waiting = openCall(target.url, "/api/generate", { method: "POST", body: { model: third } });
      await pause(500);
      const letIn = write(chat, 400);
      await letIn.linesReceived(1);
      const behind = write(second, 1, { num_ctx: 512 });
      busy[1]?.destroy();
      await pause(500);
      // One request of the chosen model still runs, so nothing has moved.
      expect([waiting.hasHeaders(), behind.hasHeaders()]).toEqual([false, false]);
      letIn.destroy();
      expect((await waiting.answer).json()["done_reason"]).toBe("load");
      expect(await inMemory()).toEqual([second, third].sort());
      expect(behind.hasHeaders()).toBe(false);
      busy[0]?.destroy();
      expect((await behind.answer).status).toBe(200);
      expect((await listed()).find(({ name }) => name === second)?.["context_length"]).toBe(512);
    });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
