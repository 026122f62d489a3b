/**
 * The endpoints of a file, one on each line, read again when it changes. What is wrong in it is said with its line, and the last good
 * list stands. It looks instead of being told: editors and Kubernetes replace a file in ways that no watcher follows alike.
 */
import { readFile, stat } from "node:fs/promises";
import { type Clock, formatHostPort, type Logger, parseHostPort, sleep } from "@drover/platform";
import type { MembershipSource, MembershipUpdate, SourceStatus } from "./membership.ts";

const LOOK_MS = 500;
/** 10,000 endpoints fit easily; this is a wrong file. */
const BYTES_MAX = 1024 * 1024;

export interface NodesFileOptions {
  readonly path: string;
  /** For lines without one. */
  readonly defaultPort: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export type NodesFile = { readonly endpoints: readonly string[] } | { readonly problem: string };

/** `#` begins a comment. A file without a single character is not read as "no nodes": somebody may be writing it. */
export function parseNodesFile(content: string, defaultPort: number): NodesFile {
  if (content === "") return { problem: "is empty; a comment line says that there are no nodes" };
  const endpoints = new Set<string>();
  for (const [index, line] of content.split("\n").entries()) {
    const text = line.replace(/#.*/, "").trim();
    if (text === "") continue;
    const address = parseHostPort(text, defaultPort);
    if (address === undefined || address.port === 0) {
      return { problem: `line ${index + 1}, ${JSON.stringify(text.slice(0, 80))}: must be HOST:PORT or HOST` };
    }
    endpoints.add(formatHostPort(address));
  }
  return { endpoints: [...endpoints] };
}

export function createNodesFileSource(options: NodesFileOptions): MembershipSource {
  const { path, clock } = options;
  let status: SourceStatus = { answeredMs: undefined, trouble: "", suspicion: "" };
  const log = options.log.child({ source: "file", file: path });
  const note = (trouble: string): void => {
    if (trouble !== status.trouble && trouble !== "")
      log.error({ reason: trouble }, "the last good list of nodes stands");
    if (trouble === "" && status.trouble !== "") log.info({}, "the file with nodes is good again");
    status = { ...status, trouble, answeredMs: trouble === "" ? clock.nowMs() : status.answeredMs };
  };
  return {
    name: "file",
    status: () => status,
    async *watch(signal): AsyncIterable<MembershipUpdate> {
      let read = "";
      let seen = "";
      while (!signal.aborted) {
        const mark = await markOf(path);
        // Only a file that was the same twice is read: what is being written is not yet what was meant. The first look is at once.
        const isSettled = mark === seen || seen === "";
        seen = mark;
        // Looked at and unchanged is an answer too.
        if (mark === read) note(status.trouble);
        if (mark !== read && isSettled) {
          const file = await load(options);
          read = mark;
          note("problem" in file ? file.problem : "");
          if ("endpoints" in file) yield resetOf(file.endpoints, path);
        }
        await sleep(clock, LOOK_MS, signal);
      }
    },
  };
}

function resetOf(endpoints: readonly string[], path: string): MembershipUpdate {
  return { kind: "reset", members: endpoints.map((endpoint) => ({ endpoint })), reason: `listed in ${path}` };
}

/** Changes with the file. */
async function markOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch {
    return "none";
  }
}

async function load({ path, defaultPort }: NodesFileOptions): Promise<NodesFile> {
  try {
    if ((await stat(path)).size > BYTES_MAX) return { problem: `${path}: larger than ${BYTES_MAX} bytes` };
    const file = parseNodesFile(await readFile(path, "utf8"), defaultPort);
    return "problem" in file ? { problem: `${path}: ${file.problem}` } : file;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    return { problem: `${path}: cannot be read (${code})` };
  }
}
