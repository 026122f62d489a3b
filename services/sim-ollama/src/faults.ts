/**
 * Scripted faults: what goes wrong, for which requests, how often. The one interface for tests to break a simulated
 * Ollama, at construction or while it runs. This file only says which faults apply; others make them happen.
 */
import { modelKey } from "@drover/platform";
import { z } from "zod";

const afterChunks = z.int().min(0).max(1_000_000).default(0);
const delayMs = z.number().min(0).max(86_400_000);

/** Which requests a fault meets; what is left out does not matter. */
const matcher = {
  /** The route without `/api/`; `/` is `root`. Default: generate, chat, embed and embeddings. */
  endpoint: z.enum(["generate", "chat", "embed", "embeddings", "show", "tags", "ps", "version", "root"]).optional(),
  /** A model's name by Ollama's rules. Default: any. */
  model: z.string().min(1).optional(),
  /** Lets so many matching requests pass first. Default 0. */
  skip: z.int().min(0).default(0),
  /** How many requests it meets. Default: all. */
  times: z.int().min(1).optional(),
};

const faultSchema = z.discriminatedUnion("kind", [
  /** Answers with this status and Ollama's text for it, or `message`. */
  z.strictObject({
    ...matcher,
    kind: z.literal("status"),
    status: z.int().min(400).max(599),
    message: z.string().optional(),
  }),
  /** Waits before the request is looked at: a slow `ps`, a slow `tags`. */
  z.strictObject({ ...matcher, kind: z.literal("delay"), delayMs }),
  /** Makes the prefill longer; like any prefill it outlives a cancel. */
  z.strictObject({ ...matcher, kind: z.literal("slow-first-token"), delayMs }),
  /** Resets the socket after so many chunks. */
  z.strictObject({ ...matcher, kind: z.literal("cut"), afterChunks }),
  /** `{"error": …}`: a line of the stream, or a 500 before the first chunk. */
  z.strictObject({ ...matcher, kind: z.literal("stream-error"), afterChunks, message: z.string().optional() }),
  /** Ends the answer without `done`; with 0 chunks an empty 200. */
  z.strictObject({ ...matcher, kind: z.literal("end-without-done"), afterChunks }),
  /** Nothing more comes, and the socket stays open. The slot stays taken until the caller leaves. */
  z.strictObject({ ...matcher, kind: z.literal("hang"), afterChunks }),
  /** The runner's process dies: all requests of this model end as Ollama ends them; the next one loads again. */
  z.strictObject({ ...matcher, kind: z.literal("runner-crash"), afterChunks }),
  /** Ollama itself dies and is back at once: all sockets are reset, no model is loaded. */
  z.strictObject({ ...matcher, kind: z.literal("crash"), afterChunks }),
  /** The load takes its time and then fails; by default with the text for too little memory. */
  z.strictObject({ ...matcher, kind: z.literal("load-failure"), message: z.string().optional() }),
  /** The model says one word for ever; Ollama's guard ends the stream after 31 equal chunks, without `done`. */
  z.strictObject({ ...matcher, kind: z.literal("repeat") }),
  /** Every line arrives in two TCP segments, cut inside a character where it has one outside ASCII. */
  z.strictObject({ ...matcher, kind: z.literal("split-lines"), gapMs: delayMs.default(2) }),
  /** So many lines arrive in one segment. */
  z.strictObject({ ...matcher, kind: z.literal("joined-lines"), lines: z.int().min(2).max(10_000) }),
  /** The first line carries so many bytes more. */
  z.strictObject({
    ...matcher,
    kind: z.literal("huge-line"),
    bytes: z
      .int()
      .min(1)
      .max(64 * 1024 * 1024),
  }),
]);

/** No more than this many at once. */
const MOST_FAULTS = 100;

export const faultListSchema = z.array(faultSchema).max(MOST_FAULTS);

/** As written by a test: defaults may be left out. */
export type Fault = z.input<typeof faultSchema>;
export type ActiveFault = z.output<typeof faultSchema>;
export type FaultKind = ActiveFault["kind"];
export type Endpoint = NonNullable<ActiveFault["endpoint"]>;
/** Faults that end or stop an answer after some chunks. */
export type BreakFault = Extract<ActiveFault, { afterChunks: number }>;

/** What will go wrong with one request. */
export interface FaultPlan {
  get<Kind extends FaultKind>(kind: Kind): Extract<ActiveFault, { kind: Kind }> | undefined;
  readonly breaking: BreakFault | undefined;
}

export interface FaultScript {
  /** The faults that meet this request (none without an endpoint); uses up their `skip` and `times`. */
  planFor(endpoint: Endpoint | undefined, model: string | undefined): FaultPlan;
  replace(faults: readonly Fault[]): void;
  /** What is still to come, with the counts that are left. */
  list(): readonly ActiveFault[];
}

const INFERENCE: ReadonlySet<Endpoint> = new Set(["generate", "chat", "embed", "embeddings"]);

/** Throws a ZodError for a fault that is not one. */
export function createFaultScript(initial: readonly Fault[]): FaultScript {
  let active = faultListSchema.parse(initial);
  return {
    planFor: (endpoint, model) => {
      const met = active.filter((fault) => isMet(fault, endpoint, model));
      active = active.map((fault) => (met.includes(fault) ? used(fault) : fault)).filter((fault) => fault.times !== 0);
      return createPlan(met.filter((fault) => fault.skip === 0));
    },
    replace: (faults) => {
      active = faultListSchema.parse(faults);
    },
    list: () => active,
  };
}

function isMet(fault: ActiveFault, endpoint: Endpoint | undefined, model: string | undefined): boolean {
  if (endpoint === undefined) return false;
  const isEndpoint = fault.endpoint === undefined ? INFERENCE.has(endpoint) : fault.endpoint === endpoint;
  if (!isEndpoint || fault.model === undefined) return isEndpoint;
  return model !== undefined && modelKey(fault.model) === modelKey(model);
}

function used(fault: ActiveFault): ActiveFault {
  if (fault.skip > 0) return { ...fault, skip: fault.skip - 1 };
  return fault.times === undefined ? fault : { ...fault, times: fault.times - 1 };
}

function createPlan(faults: readonly ActiveFault[]): FaultPlan {
  return {
    get: <Kind extends FaultKind>(kind: Kind) =>
      faults.find((fault): fault is Extract<ActiveFault, { kind: Kind }> => fault.kind === kind),
    breaking: faults.find((fault): fault is BreakFault => "afterChunks" in fault),
  };
}
