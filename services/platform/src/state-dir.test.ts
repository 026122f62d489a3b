import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError } from "./config-error.ts";
import { silentLogger } from "./log.ts";
import { defaultStateDir, openStateDir, type StateDir } from "./state-dir.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "drover-state-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function open(dir = join(root, "a", "b")): StateDir {
  return openStateDir({ dir, log: silentLogger });
}

/** A pid that no process has: the kernel's limit is 2^22. */
const NO_PID = 2 ** 22 + 1;

describe("openStateDir", () => {
  it("makes the directory and an id that stays", () => {
    const first = open();
    expect(first.nodeId).toMatch(/^[0-9a-f-]{36}$/);
    first.release();
    const second = open();
    expect(second.nodeId).toBe(first.nodeId);
    second.release();
    expect(readdirSync(second.dir)).toEqual(["node-id"]);
  });

  it("refuses a directory that a living program holds, and names the flag", () => {
    const first = open();
    expect(() => open()).toThrow(ConfigError);
    expect(() => open()).toThrow(new RegExp(`^--state-dir .*: in use by another program \\(process ${process.pid}\\)`));
    first.release();
    open().release();
  });

  it.each([
    ["of a dead process", JSON.stringify({ pid: NO_PID, startedAt: "" })],
    ["of an earlier process with the same pid", JSON.stringify({ pid: process.pid, startedAt: "another boot/1" })],
    ["that nobody wrote whole", "{"],
    ["that is empty", ""],
    ["with a pid that means a group", JSON.stringify({ pid: -1, startedAt: "" })],
  ])("takes over a lock %s", (_, content) => {
    const dir = join(root, "stale");
    mkdirSync(dir);
    writeFileSync(join(dir, "lock"), content);
    const state = open(dir);
    expect(() => open(dir)).toThrow(ConfigError);
    state.release();
    expect(readdirSync(dir)).toEqual(["node-id"]);
  });

  it("gives back only its own lock", () => {
    const state = open();
    writeFileSync(join(state.dir, "lock"), "somebody else's");
    state.release();
    expect(existsSync(join(state.dir, "lock"))).toBe(true);
  });

  it("replaces an id that is unreadable", () => {
    const dir = join(root, "broken");
    mkdirSync(dir);
    writeFileSync(join(dir, "node-id"), "garbage");
    const state = open(dir);
    expect(state.nodeId).toMatch(/^[0-9a-f-]{36}$/);
    expect(readFileSync(join(dir, "node-id"), "utf8").trim()).toBe(state.nodeId);
    state.release();
  });

  it("says in words when the directory cannot be used", () => {
    writeFileSync(join(root, "file"), "");
    expect(() => open(join(root, "file"))).toThrow(/--state-dir .*cannot be used \(EEXIST\)/);
    expect(() => open(join(root, "file", "below"))).toThrow(/--state-dir .*cannot be used \(ENOTDIR\)/);
  });
});

describe("defaultStateDir", () => {
  it("follows XDG_STATE_HOME, else the home directory", () => {
    expect(defaultStateDir("agent", 50052, { XDG_STATE_HOME: "/state" })).toBe(join("/state", "drover", "agent-50052"));
    expect(defaultStateDir("router", 1, {})).toMatch(/[\\/]\.local[\\/]state[\\/]drover[\\/]router-1$/);
    expect(defaultStateDir("router", 1, { XDG_STATE_HOME: "" })).toMatch(/\.local/);
  });
});
