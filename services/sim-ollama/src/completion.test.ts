import { SimClock } from "@drover/platform";
import { expect, test } from "vitest";
import { type CompletionEvent, type CompletionTask, runCompletion } from "./completion.ts";
import { createModelCatalog, type Model } from "./model-catalog.ts";
import { parseModelOptions } from "./model-options.ts";
import { createRunner, type Runner } from "./scheduling/runner.ts";

const model = createModelCatalog([{ name: "m" }]).models[0] as Model;

function setUp(options: Record<string, unknown> = {}, doesPrefillOutliveCancel = true) {
  const clock = new SimClock();
  const parsed = parseModelOptions(options, 100);
  const runner = createRunner({ model, slots: 1, options: parsed.runner });
  const start = (prompt: string, extra: Partial<CompletionTask> = {}) => {
    const leaving = new AbortController();
    const pieces = ["One", " two", " three", " four"];
    const task: CompletionTask = {
      runner,
      prompt,
      options: parsed,
      isTruncating: true,
      isShifting: true,
      openWriter: () => ({ next: () => pieces.shift() }),
      signal: leaving.signal,
      onPhase: () => {},
      extraPrefillMs: 0,
      ...extra,
    };
    const pace = { clock, decodeSpeed: 10, prefillSpeed: 100, doesPrefillOutliveCancel };
    const seen: { at: number; event: CompletionEvent }[] = [];
    const result = { seen, error: undefined as unknown, leave: () => leaving.abort() };
    void (async () => {
      for await (const event of runCompletion(task, pace)) seen.push({ at: clock.nowMs(), event });
    })().catch((error: unknown) => {
      result.error = error;
    });
    return result;
  };
  return { clock, runner, start };
}

const words = (count: number): string =>
  Array.from({ length: count }, (_, i) => `w${String.fromCharCode(97 + (i % 26))}`).join(" ");
const texts = ({ seen }: { seen: { event: CompletionEvent }[] }): string[] =>
  seen.map(({ event }) => (event.kind === "text" ? event.text : event.reason));

function isFree(runner: Runner): boolean {
  return runner.load().busy === 0;
}

test("nothing comes before the prefill ends, then a piece per tick of the set speed", async () => {
  const { clock, start, runner } = setUp();
  const run = start(words(50));
  await clock.advanceAsync(499);
  expect(run.seen).toEqual([]);
  await clock.advanceAsync(1000);
  expect(run.seen.map(({ at }) => at)).toEqual([500, 600, 700, 800, 900]);
  expect(texts(run)).toEqual(["One", " two", " three", " four", "stop"]);
  expect(run.seen.at(-1)?.event).toMatchObject({
    metrics: { promptTokens: 50, prefillMs: 500, tokens: 5, decodeMs: 400 },
  });
  expect(isFree(runner)).toBe(true);
});

test("a late timer does not slow down what follows", async () => {
  const { clock, start } = setUp();
  const run = start("x");
  await clock.advanceAsync(10);
  clock.advance(350);
  await clock.advanceAsync(60);
  expect(texts(run)).toEqual(["One", " two", " three", " four", "stop"]);
});

test("num_predict ends with length and counts its tokens", async () => {
  const { clock, start } = setUp({ num_predict: 2 });
  const run = start("x");
  await clock.advanceAsync(1000);
  expect(texts(run)).toEqual(["One", " two", "length"]);
});

test("a stop string ends the answer before it", async () => {
  const { clock, start } = setUp({ stop: ["ree f"] });
  const run = start("x");
  await clock.advanceAsync(1000);
  expect(texts(run)).toEqual(["One", " two", " th", "stop"]);
});

test("without shift a full context ends the answer", async () => {
  const { clock, start } = setUp({ num_ctx: 52 });
  const run = start(words(50), { isShifting: false });
  await clock.advanceAsync(5000);
  expect(texts(run)).toEqual(["One", " two", "length"]);
});

test("the same prompt again is nearly free", async () => {
  const { clock, start } = setUp();
  start(words(50));
  await clock.advanceAsync(2000);
  const again = start(words(50));
  await clock.advanceAsync(10);
  expect(texts(again)).toEqual(["One"]);
});

test("a prompt too long keeps its head and its end, or is refused", async () => {
  const { clock, start } = setUp({ num_ctx: 10 });
  let read = "";
  const openWriter = (prompt: string) => {
    read = prompt;
    return { next: () => undefined };
  };
  start(words(30), { openWriter });
  await clock.advanceAsync(1000);
  expect(read).toBe("wa wb wc wd wy wz wa wb wc wd");
  const refused = start(words(30), { isTruncating: false });
  await clock.advanceAsync(0);
  expect(refused.error).toMatchObject({ status: 400, message: "the input length exceeds the context length" });
});

test("a prefill goes on after its caller has left, and the slot with it", async () => {
  const { clock, start, runner } = setUp();
  const run = start(words(50));
  await clock.advanceAsync(100);
  run.leave();
  await clock.advanceAsync(0);
  expect(run.error).toMatchObject({ status: 499 });
  await clock.advanceAsync(399);
  expect(isFree(runner)).toBe(false);
  await clock.advanceAsync(1);
  expect(isFree(runner)).toBe(true);
});

test("where a cancel stops the prefill the slot is free at once", async () => {
  const { clock, start, runner } = setUp({}, false);
  const run = start(words(50));
  await clock.advanceAsync(100);
  run.leave();
  await clock.advanceAsync(0);
  expect(isFree(runner)).toBe(true);
});

test("leaving while it writes frees the slot at once", async () => {
  const { clock, start, runner } = setUp();
  const run = start("x");
  await clock.advanceAsync(150);
  run.leave();
  await clock.advanceAsync(0);
  expect([texts(run), isFree(runner)]).toEqual([["One", " two"], true]);
});

test("when the runner dies, those before the first token and those after hear different things", async () => {
  const { clock, start, runner } = setUp();
  const writing = start("x");
  const waiting = start("y");
  await clock.advanceAsync(50);
  runner.kill();
  await clock.advanceAsync(0);
  expect(writing.error).toMatchObject({ message: "an error was encountered while running the model: unexpected EOF" });
  expect(waiting.error).toMatchObject({ message: expect.stringMatching(/^model runner has unexpectedly stopped/) });
});
