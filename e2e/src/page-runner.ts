/**
 * Does what a page tells its reader to do: writes its files, runs its commands in the order of the page, each in a shell in the
 * reader's folder, presses Ctrl-C where the page says so, and compares what is printed with what the page shows.
 *
 * A block ```sh runs to its end, with `eventually` again until it prints what is shown; with `terminal=NAME until="WORDS"` it is
 * started and goes on once it has said these words. ```ts file=NAME is written. ```text is what the last command shows.
 * In the prose, `<!-- stop NAME -->` stops a terminal, and `<!-- open URL SELECTOR -->` opens a page in a browser and waits for text there.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readMarkdown } from "../../tools/docs/markdown.ts";
import { differsFromShown } from "./shown-output.ts";

export interface Reader {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  /** What this machine has in place of what the page says, such as other ports; both ways in commands, files and outputs. */
  readonly translate: (text: string) => string;
  /** Opens a page in a browser; resolves once the element has text. */
  readonly open: (url: string, selector: string) => Promise<void>;
}

type Step =
  | { readonly kind: "run"; readonly command: string; readonly shown: string | undefined; readonly isPatient: boolean }
  | { readonly kind: "start"; readonly terminal: string; readonly command: string; readonly until: string }
  | { readonly kind: "stop"; readonly terminal: string }
  | { readonly kind: "open"; readonly url: string; readonly selector: string }
  | { readonly kind: "write"; readonly file: string; readonly text: string };

/** A step of a page, for the name of a test: what is done, and in which line. */
export interface PageStep {
  readonly title: string;
  readonly line: number;
  readonly step: Step;
}

/** For a command that installs what it has to fetch, and for all else. */
const RUN_LIMIT_MS = 120_000;
const LIMIT_MS = 30_000;

/** Throws for a block that cannot be understood: a command that nobody runs would be a promise that nobody keeps. */
export function stepsOf(page: string): readonly PageStep[] {
  const { fences, proseLines } = readMarkdown(page);
  const steps: PageStep[] = [];
  for (const [index, line] of proseLines.entries()) {
    const step = stepInProse(line);
    if (step !== undefined) steps.push({ title: step.title, line: index + 1, step: step.step });
  }
  for (const [index, { info, text, line }] of fences.entries()) {
    const shown = fences[index + 1]?.info === "text" ? fences[index + 1]?.text : undefined;
    if (info !== "text") steps.push({ title: titleOf(text), line, step: stepOf(info, text, shown) });
  }
  return steps.sort((a, b) => a.line - b.line);
}

function stepInProse(line: string): Omit<PageStep, "line"> | undefined {
  const [, terminal] = /<!-- stop ([a-z0-9-]+) -->/.exec(line) ?? [];
  if (terminal !== undefined) return { title: `Ctrl-C in ${terminal}`, step: { kind: "stop", terminal } };
  const [, url, selector] = /<!-- open (\S+) (\S+) -->/.exec(line) ?? [];
  if (url === undefined || selector === undefined) return undefined;
  return { title: `open ${url}`, step: { kind: "open", url, selector } };
}

const titleOf = (text: string): string => text.split("\n")[0]?.slice(0, 80) ?? "";

function stepOf(info: string, text: string, shown: string | undefined): Step {
  const file = /^[a-z]+ file=(\S+)$/.exec(info)?.[1];
  if (file !== undefined) return { kind: "write", file, text };
  const [, terminal, until] = /^sh terminal=(\S+) until="([^"]+)"$/.exec(info) ?? [];
  if (terminal !== undefined && until !== undefined) return { kind: "start", terminal, command: text, until };
  if (info !== "sh" && info !== "sh eventually") throw new Error(`what is to be done with a block \`${info}\`?`);
  return { kind: "run", command: text, shown, isPatient: info === "sh eventually" };
}

export class PageRunner {
  readonly #reader: Reader;
  readonly #terminals = new Map<string, ChildProcess>();

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** Rejects with what was printed when it is not as the page says. */
  async do({ step }: PageStep): Promise<void> {
    switch (step.kind) {
      case "write":
        return this.#write(step.file, this.#reader.translate(step.text));
      case "open":
        return await this.#reader.open(this.#reader.translate(step.url), step.selector);
      case "start":
        return await this.#start(step);
      case "stop":
        return await this.#stop(step.terminal);
      case "run":
        return await this.#runAsShown(step);
    }
  }

  /** Ends whatever still runs. */
  async close(): Promise<void> {
    for (const terminal of [...this.#terminals.keys()]) await this.#stop(terminal);
  }

  #write(name: string, text: string): void {
    const file = join(this.#reader.folder, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  async #runAsShown({ command, shown, isPatient }: Step & { kind: "run" }): Promise<void> {
    const endMs = performance.now() + (isPatient ? LIMIT_MS : 0);
    for (;;) {
      const printed = await this.#run(command);
      const differs = shown === undefined ? undefined : differsFromShown(printed, this.#reader.translate(shown));
      if (differs === undefined) return;
      if (performance.now() >= endMs)
        throw new Error(`The page shows something else than what was printed:\n${differs}`);
    }
  }

  #run(command: string): Promise<string> {
    const child = this.#shell(command);
    const said = collect(child);
    const timer = setTimeout(() => killGroup(child, "SIGKILL"), RUN_LIMIT_MS);
    return new Promise((resolve, reject) => {
      child.once("close", (code) => {
        clearTimeout(timer);
        if (code === 0) resolve(said.stdout);
        else reject(new Error(`It ended with ${code ?? "a signal"}:\n${said.stdout}${said.stderr}`));
      });
    });
  }

  #start({ terminal, command, until }: Step & { kind: "start" }): Promise<void> {
    const child = this.#shell(command);
    this.#terminals.set(terminal, child);
    const said = collect(child);
    const words = this.#reader.translate(until);
    return new Promise((resolve, reject) => {
      const fail = (): void => reject(new Error(`It did not say "${words}":\n${said.stdout}${said.stderr}`));
      const timer = setTimeout(fail, LIMIT_MS);
      const look = (): void => {
        if (!`${said.stdout}${said.stderr}`.includes(words)) return;
        clearTimeout(timer);
        resolve();
      };
      child.stdout?.on("data", look);
      child.stderr?.on("data", look);
      child.once("close", fail);
    });
  }

  /** As Ctrl-C does: to all that runs in the terminal. */
  #stop(terminal: string): Promise<void> {
    const child = this.#terminals.get(terminal);
    if (child === undefined) throw new Error(`nothing runs in the terminal ${terminal}`);
    this.#terminals.delete(terminal);
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => killGroup(child, "SIGKILL"), LIMIT_MS);
      child.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      killGroup(child, "SIGINT");
    });
  }

  /** Its standard input stays open, as in a terminal: some programs end when it closes. */
  #shell(command: string): ChildProcess {
    const { folder, env, translate } = this.#reader;
    const child = spawn("bash", ["-euo", "pipefail", "-c", translate(command)], {
      cwd: folder,
      env,
      detached: true,
      stdio: ["pipe", "pipe", "pipe"],
    });
    const killNow = (): void => killGroup(child, "SIGKILL");
    process.once("exit", killNow);
    child.once("close", () => process.off("exit", killNow));
    return child;
  }
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
    });
  }
  return said;
}

function killGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal);
  } catch {
    // It is gone already.
  }
}
