/**
 * Reads the list of one service, and does each entry's work once: Consul resends the whole list for each change, and nearly every
 * entry of it is, byte for byte, what it was. It keeps one list, and waits for nothing.
 */
import type { ConsulInstance } from "./consul-instance.ts";
import { type ReadEntry, readEntry } from "./consul-instance.ts";
import type { ConsulAnswer, ConsulReader } from "./consul-reader.ts";
import { EntrySplitter } from "./entry-splitter.ts";
import { type Outcome, WAIT_MS } from "./watch-step.ts";

export interface UnusableEntry {
  readonly key: string;
  readonly reason: string;
}

export interface ServiceList {
  readonly instances: readonly ConsulInstance[];
  /** What is registered but cannot be called. */
  readonly unusable: readonly UnusableEntry[];
  readonly isFiltered: boolean;
}

export interface ListRead {
  readonly outcome: Outcome;
  /** Only with a `list`. */
  readonly list: ServiceList | undefined;
}

export interface ListQuestion {
  readonly index: string;
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
}

type Answered = ConsulAnswer & { readonly kind: "answered" };

export class ListReader {
  readonly #reader: ConsulReader;
  readonly #service: string;
  /** By the text of the entry; exactly the entries of the last list. */
  #entries: ReadonlyMap<string, ReadEntry> = new Map();
  #raw: Uint8Array | undefined;

  constructor(reader: ConsulReader, service: string) {
    this.#reader = reader;
    this.#service = service;
  }

  async read({ index, deadlineMs, signal }: ListQuestion): Promise<ListRead> {
    const service = encodeURIComponent(this.#service);
    const path = `/v1/health/service/${service}?index=${index}&wait=${WAIT_MS / 1_000}s`;
    const answer = await this.#reader.get({ path, deadlineMs, signal });
    if (answer.kind === "failed") return broken(answer.reason);
    if (answer.status < 200 || answer.status > 299) {
      return { outcome: { kind: "refused", status: answer.status }, list: undefined };
    }
    try {
      return await this.#parse(answer);
    } catch (error) {
      return broken(error instanceof Error ? error.message : String(error));
    }
  }

  async #parse(answer: Answered): Promise<ListRead> {
    // The end of a wait without a change says the same again.
    const isSame = this.#raw !== undefined && Buffer.compare(answer.raw, this.#raw) === 0;
    const entries = isSame ? this.#entries : await this.#split(answer);
    if (entries === undefined)
      return broken("its answer is no list of services: is this Consul, or a proxy before it?");
    this.#entries = entries;
    this.#raw = answer.raw;
    const { index, isFiltered } = answer;
    return { outcome: { kind: "list", index }, list: { ...sorted(entries.values()), isFiltered } };
  }

  async #split(answer: Answered): Promise<ReadonlyMap<string, ReadEntry> | undefined> {
    const entries = new Map<string, ReadEntry>();
    const splitter = new EntrySplitter();
    for await (const piece of answer.pieces()) {
      for (const bytes of splitter.push(piece)) {
        // One character for each byte is the fastest way to a key, and right for one.
        const key = bytes.toString("latin1");
        const entry = this.#entries.get(key) ?? readEntry(bytes.toString("utf8"));
        if (entry.kind === "malformed") return undefined;
        entries.set(key, entry);
      }
    }
    return splitter.isWhole ? entries : undefined;
  }
}

function sorted(entries: Iterable<ReadEntry>): Pick<ServiceList, "instances" | "unusable"> {
  const instances: ConsulInstance[] = [];
  const unusable: UnusableEntry[] = [];
  for (const entry of entries) {
    if (entry.kind === "instance") instances.push(entry.instance);
    else if (entry.kind === "unusable") unusable.push(entry);
  }
  return { instances, unusable };
}

function broken(reason: string): ListRead {
  return { outcome: { kind: "broken", reason }, list: undefined };
}
