import { type Logger, silentLogger } from "@drover/platform";
import { describe, expect, test } from "vitest";
import { createDrainMemory } from "./drain-memory.ts";
import { NodeCondition } from "./node-condition.ts";

function folder(content?: string) {
  const files = new Map<string, string>();
  if (content !== undefined) files.set("drain.json", content);
  const write = (name: string, text: string | undefined): void => {
    if (text === undefined) files.delete(name);
    else files.set(name, text);
  };
  return { read: (name: string) => files.get(name), write, files };
}

describe("a drain", () => {
  test("outlives the process until the node is resumed", () => {
    const dir = folder();
    const first = new NodeCondition(() => undefined, createDrainMemory(dir, silentLogger));
    first.drain('new "driver"\n');
    const second = new NodeCondition(() => undefined, createDrainMemory(dir, silentLogger));
    expect(second.drainReason).toBe('new "driver"\n');
    second.resume();
    const third = new NodeCondition(() => undefined, createDrainMemory(dir, silentLogger));
    expect([third.isDraining, dir.files.size]).toEqual([false, 0]);
  });

  test("of a stopping process is forgotten", () => {
    const dir = folder();
    const condition = new NodeCondition(() => undefined, createDrainMemory(dir, silentLogger));
    condition.leave();
    expect([condition.isDraining, condition.drainReason, dir.files.size]).toEqual([true, "this program stops", 0]);
  });

  test.each(["", "{", "{}", '{"reason":1}'])("stands where its file is damaged: %j", (content) => {
    expect(createDrainMemory(folder(content), silentLogger).reason).toBe("drained before this start");
  });

  test("stands until the process ends where it cannot be written, and the log says so", () => {
    const errors: string[] = [];
    const log = { error: (_: object, words: string) => errors.push(words) } as unknown as Logger;
    const full = {
      read: () => undefined,
      write: () => {
        throw new Error("ENOSPC");
      },
    };
    const condition = new NodeCondition(() => undefined, createDrainMemory(full, log));
    condition.drain("new disk");
    expect([condition.drainReason, errors]).toEqual(["new disk", [expect.stringContaining("forgets it")]]);
  });
});
