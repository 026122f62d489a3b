/**
 * All programs that one `npm start` runs: starts them, notices when one ends that nobody asked to end, and stops them in order.
 * It does not know what they are to each other.
 */
import { fileURLToPath } from "node:url";
import { type Clock, type Lifecycle, sleep } from "@drover/platform";
import { type ChildEnd, ChildProgram } from "./child-program.ts";
import { StartError } from "./start-error.ts";

/** In the order in which they start; they stop the other way round. */
const KINDS = ["sim-ollama", "agent", "router"] as const;
export type ProgramKind = (typeof KINDS)[number];

export interface ChildProgramsOptions {
  readonly clock: Clock;
  readonly lifecycle: Lifecycle;
  readonly env: NodeJS.ProcessEnv;
  /** Gets what the programs print, line by line; undefined: it is kept only for the case that one ends. */
  readonly onLine: ((line: string) => void) | undefined;
  /** Called for a program that served and ended although nothing stops. */
  readonly onLost: (lost: LostProgram) => void;
}

export interface LostProgram {
  readonly kind: ProgramKind;
  readonly node: string | undefined;
  /** For people: "the agent of sim-fast". */
  readonly title: string;
  readonly end: ChildEnd;
  readonly lastLines: readonly string[];
}

export interface ProgramToStart {
  readonly kind: ProgramKind;
  /** Of the node; undefined for the router. */
  readonly node?: string;
  readonly flags: readonly string[];
}

/** Running calls may end by themselves for this long. */
const STOP_LIMIT_MS = 5_000;

/**
 * Ctrl-C reaches this process and its children at the same time, so a child may be gone before this one knows why: an end counts
 * as a loss only when no stop has begun this much later.
 */
const STOP_MAY_FOLLOW_MS = 400;

export class ChildPrograms {
  readonly #options: ChildProgramsOptions;
  readonly #running = new Map<ChildProgram, ProgramKind>();

  constructor(options: ChildProgramsOptions) {
    this.#options = options;
    for (const kind of KINDS) options.lifecycle.onStop(kind, () => this.#stop(kind));
    // The last word, also when a second signal or a fault ends this process at once.
    process.once("exit", () => {
      for (const program of this.#running.keys()) program.kill();
    });
  }

  /** Throws when everything is being stopped already. */
  start({ kind, node, flags }: ProgramToStart): ChildProgram {
    const { clock, lifecycle, env, onLine } = this.#options;
    if (lifecycle.stopSignal.aborted) throw new StartError("it is stopping");
    const label = node === undefined ? kind : `${kind} ${node}`;
    const program = new ChildProgram({
      title: node === undefined ? `the ${kind}` : `the ${kind} of ${node}`,
      launcher: fileURLToPath(new URL(`../../${kind}/bin/drover-${kind}.js`, import.meta.url)),
      flags,
      env: withoutDrover(env),
      clock,
      ...(onLine === undefined ? {} : { onLine: (line: string) => onLine(`[${label}] ${line}`) }),
    });
    this.#running.set(program, kind);
    void program.ended.then(async (end) => {
      this.#running.delete(program);
      if ((await program.started).kind === "failed" || (await this.isStopping())) return;
      this.#options.onLost({ kind, node, title: program.title, end, lastLines: program.lastLines });
    });
    return program;
  }

  /** Whether what just ended, ended because everything stops. */
  async isStopping(): Promise<boolean> {
    const { clock, lifecycle } = this.#options;
    await sleep(clock, STOP_MAY_FOLLOW_MS, lifecycle.stopSignal);
    return lifecycle.stopSignal.aborted;
  }

  async #stop(kind: ProgramKind): Promise<void> {
    const programs = [...this.#running].filter(([, each]) => each === kind).map(([program]) => program);
    await Promise.all(programs.map((program) => program.stop(STOP_LIMIT_MS)));
  }
}

/** `npm start` decides what its programs do: a DROVER_CONSUL meant for another agent must not register simulated nodes. */
function withoutDrover(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([key]) => !key.startsWith("DROVER_")));
}
