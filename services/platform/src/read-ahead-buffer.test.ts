import { describe, expect, test } from "vitest";
import { ReadAheadBuffer } from "./read-ahead-buffer.ts";

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol();
  const first = await Promise.race([promise, new Promise((resolve) => setImmediate(resolve, pending))]);
  return first !== pending;
}

describe("the read-ahead buffer", () => {
  test("gives items in order, also thousands of them, then the end", async () => {
    const buffer = new ReadAheadBuffer<number>(1e9);
    for (let i = 0; i < 5_000; i++) buffer.push(i, 1);
    buffer.end();
    for (let i = 0; i < 5_000; i++) expect(await buffer.take()).toBe(i);
    expect(await buffer.take()).toBeUndefined();
    expect(buffer.bufferedBytes).toBe(0);
  });

  test("is full at its limit, and the writer goes on when something was taken", async () => {
    const buffer = new ReadAheadBuffer<string>(10);
    buffer.push("a", 9);
    expect(buffer.isFull).toBe(false);
    buffer.push("b", 9);
    expect(buffer.isFull).toBe(true);
    const taken = buffer.taken();
    expect(await isSettled(taken)).toBe(false);
    await buffer.take();
    expect(await isSettled(taken)).toBe(true);
    expect(buffer.isFull).toBe(false);
  });

  test("wakes a reader that waits", async () => {
    const buffer = new ReadAheadBuffer<string>(10);
    const reading = buffer.take();
    expect(await isSettled(reading)).toBe(false);
    buffer.push("late", 1);
    expect(await reading).toBe("late");
  });

  test("gives what is there before a failure, and the first end stands", async () => {
    const buffer = new ReadAheadBuffer<string>(10);
    buffer.push("a", 1);
    buffer.fail(new Error("first"));
    buffer.fail(new Error("second"));
    buffer.push("ignored", 1);
    expect(await buffer.take()).toBe("a");
    await expect(buffer.take()).rejects.toThrow("first");
  });

  test("drops everything when it is aborted, and lets the writer go", async () => {
    const buffer = new ReadAheadBuffer<string>(1);
    buffer.push("a", 5);
    const taken = buffer.taken();
    buffer.abort(new Error("left"));
    expect(await isSettled(taken)).toBe(true);
    await expect(buffer.take()).rejects.toThrow("left");
  });
});
