import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Logger, SimClock, silentLogger } from "@drover/platform";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createNodesFileSource, parseNodesFile } from "./nodes-file-source.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

function watch(content: string | undefined) {
  const folder = mkdtempSync(join(tmpdir(), "drover-nodes-file-"));
  ends.push(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "nodes");
  if (content !== undefined) writeFileSync(path, content);
  const clock = new SimClock();
  const errors: string[] = [];
  const log: Logger = {
    ...silentLogger,
    error: (line: object | string) => void errors.push(JSON.stringify(line)),
    child: () => log,
  };
  const source = createNodesFileSource({ path, defaultPort: 50_052, clock, log });
  const stop = new AbortController();
  ends.push(() => stop.abort());
  const lists: string[] = [];
  void (async () => {
    for await (const update of source.watch(stop.signal)) {
      if (update.kind === "reset") lists.push(update.members.map((member) => member.endpoint).join(" "));
    }
  })();
  /** Two looks: one that sees a change, one that finds it settled. Reading is real, so it may end later than the simulated time. */
  const look = async (times = 4): Promise<void> => {
    for (let round = 0; round < times; round++) {
      await clock.advanceAsync(500);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  /** Looks until the source has told so many lists: how fast a real disk answers is not simulated. */
  const told = (count: number): Promise<void> =>
    vi.waitFor(
      async () => {
        await look(1);
        expect(lists.length).toBe(count);
      },
      { timeout: 4_000, interval: 0 },
    );
  return { path, source, lists, errors, look, told };
}

describe("a file with nodes", () => {
  it("has one on each line, with or without port, and comments", () => {
    expect(parseNodesFile("# the fleet\ngpu-1:50052\n\n  gpu-2 # new\r\n[::1]:7\ngpu-1\n", 50_052)).toEqual({
      endpoints: ["gpu-1:50052", "gpu-2:50052", "[::1]:7"],
    });
    expect(parseNodesFile("# nobody yet\n", 50_052)).toEqual({ endpoints: [] });
  });

  it.each([
    ["gpu-1\ngpu 2\n", /^line 2, "gpu 2": must be HOST:PORT or HOST$/],
    ["http://gpu-1:50052", /^line 1/],
    ["gpu-1:0", /^line 1/],
    ["", /^is empty/],
  ])("is wrong as %o, and says where", (content, words) => {
    expect(parseNodesFile(content, 50_052)).toEqual({ problem: expect.stringMatching(words) });
  });
});

describe("the source of that file", () => {
  it("tells the list at once, and again when the file was changed or replaced", async () => {
    const { path, lists, look, told } = watch("a\n");
    await vi.waitFor(() => expect(lists).toEqual(["a:50052"]));
    await look();
    writeFileSync(path, "a\nb\n");
    await told(2);
    writeFileSync(`${path}.new`, "c\n");
    renameSync(`${path}.new`, path);
    await told(3);
    expect(lists).toEqual(["a:50052", "a:50052 b:50052", "c:50052"]);
  });

  it("keeps the last good list while the file is wrong, empty or away, and says so once", async () => {
    const { path, lists, errors, source, look, told } = watch("a\n");
    await vi.waitFor(() => expect(lists.length).toBe(1));
    for (const spoil of [
      () => writeFileSync(path, "not an address\n"),
      () => writeFileSync(path, ""),
      () => rmSync(path),
    ]) {
      spoil();
      await look();
      await look();
    }
    expect(lists).toEqual(["a:50052"]);
    expect(errors.length).toBe(3);
    expect(source.status()).toMatchObject({ trouble: `${path}: cannot be read (ENOENT)` });
    writeFileSync(path, "b\n");
    await told(2);
    expect([lists.at(-1), source.status().trouble]).toEqual(["b:50052", ""]);
  });

  it("is not read while it is being written", async () => {
    const { path, lists, look, told } = watch("a\nb\n");
    await vi.waitFor(() => expect(lists.length).toBe(1));
    writeFileSync(path, "a\n");
    await look(1);
    writeFileSync(path, "a\nb\nc\n");
    await told(2);
    expect(lists).toEqual(["a:50052 b:50052", "a:50052 b:50052 c:50052"]);
  });

  it("refuses a file that is no list", async () => {
    const { source, lists } = watch("a\n".repeat(600_000));
    await vi.waitFor(() => expect(source.status().trouble).toMatch(/larger than/));
    expect(lists).toEqual([]);
  });
});
