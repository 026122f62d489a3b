/**
 * The log of a program, read for one thing: when a call ended. A call gives its place back and writes its line in the same turn,
 * and the line's time is taken there, so that neither a question nor the way of the line costs anything.
 */

/** The line that router and agent write for each call. */
export interface CallLine {
  /** Whole ms of the machine's wall clock. */
  readonly time: number;
  /** Of an agent's line. */
  readonly status?: string | number;
  /** Of a router's line, as the next two. */
  readonly reason?: string;
  readonly attempts?: number;
  readonly waitedMs?: number;
}

/** What has not happened by then never will. */
const PATIENCE_MS = 5_000;

export class CallLog {
  #lines: CallLine[] = [];
  #onLine: () => void = () => undefined;

  readonly write = (text: string): void => {
    if (!text.startsWith("{")) return void process.stderr.write(`${text}\n`);
    const line = JSON.parse(text) as CallLine & { readonly msg?: string; readonly level: string };
    if (line.level === "error") process.stderr.write(`${text}\n`);
    if (line.msg !== "call") return;
    this.#lines.push(line);
    this.#onLine();
  };

  forget(): void {
    this.#lines = [];
  }

  /** The line of the call that was cancelled since the last `forget`. */
  async cancelled(): Promise<CallLine> {
    const endMs = performance.now() + PATIENCE_MS;
    for (;;) {
      const line = this.#lines.find(({ reason, status }) => reason === "cancelled" || status === "CANCELLED");
      if (line !== undefined) return line;
      if (performance.now() > endMs) throw new Error("a call that was cancelled does not stand in the log");
      await this.#nextLine();
    }
  }

  #nextLine(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, PATIENCE_MS);
      this.#onLine = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
