/**
 * Every metric of router and agent: name, kind, unit, meaning and attributes. Nothing is measured that does not stand here, and the
 * documentation is written from it. RPC names follow OpenTelemetry's conventions for RPC as of 1.40, gen_ai names those for
 * generative AI; the rest begins with `drover.`.
 */

export interface InstrumentDescription {
  /** As in OpenTelemetry; Prometheus shows `.` as `_`. */
  readonly name: string;
  readonly kind: "histogram" | "counter" | "gauge";
  /** In UCUM: `s`, `By`, `{call}`. */
  readonly unit: string;
  readonly description: string;
  readonly attributes: readonly string[];
  readonly by: "router" | "agent" | "both";
  /** Upper bounds of a histogram's buckets. */
  readonly buckets?: readonly number[];
}

/** From a cached answer to the longest load; twice as fine as decades, because a scheduler's gains hide in factors of two. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500];

const RPC = ["rpc.system.name", "rpc.method", "rpc.response.status_code", "error.type"];
const GEN_AI = ["gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"];

export const INSTRUMENTS = {
  rpcServerCallDuration: {
    name: "rpc.server.call.duration",
    kind: "histogram",
    unit: "s",
    description: "From a call's arrival to its end, whatever it was; error.type is Drover's reason.",
    attributes: RPC,
    by: "both",
    buckets: SECONDS,
  },
  requestDuration: {
    name: "gen_ai.server.request.duration",
    kind: "histogram",
    unit: "s",
    description: "From an inference call's arrival to its last token.",
    attributes: [...GEN_AI, "error.type"],
    by: "both",
    buckets: SECONDS,
  },
  timeToFirstToken: {
    name: "gen_ai.server.time_to_first_token",
    kind: "histogram",
    unit: "s",
    description: "From an inference call's arrival to its first token, waiting, loading and retries included.",
    attributes: GEN_AI,
    by: "both",
    buckets: SECONDS,
  },
  timePerOutputToken: {
    name: "gen_ai.server.time_per_output_token",
    kind: "histogram",
    unit: "s",
    description: "Mean time of a token after the first one, by Ollama's own counts.",
    attributes: GEN_AI,
    by: "agent",
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  },
  tokens: {
    name: "drover.tokens",
    kind: "counter",
    unit: "{token}",
    description:
      "Tokens of prompts (input, also those that Ollama had cached) and of answers (output), by Ollama's own counts.",
    attributes: ["gen_ai.request.model", "gen_ai.token.type"],
    by: "agent",
  },
  predictedTimeToFirstToken: {
    name: "drover.predicted_time_to_first_token",
    kind: "histogram",
    unit: "s",
    description:
      "What the agent expected when the call arrived: queue, load and prefill by its learned rates. Compare with gen_ai.server.time_to_first_token.",
    attributes: ["gen_ai.request.model"],
    by: "agent",
    buckets: SECONDS,
  },
  calls: {
    name: "drover.calls",
    kind: "gauge",
    unit: "{call}",
    description: "Calls now: waiting for a node, or active in all (waiting ones included).",
    attributes: ["state"],
    by: "router",
  },
  callWait: {
    name: "drover.call.wait",
    kind: "histogram",
    unit: "s",
    description:
      "How long a call had no node at the router: none could take it, or it paused before a retry. Calls that always had one are not counted.",
    attributes: ["outcome"],
    by: "router",
    buckets: SECONDS,
  },
  attempts: {
    name: "drover.attempts",
    kind: "counter",
    unit: "{attempt}",
    description:
      "Ended attempts by node and outcome: ok, lost (another attempt of the call was faster, or the call ended), or Drover's reason.",
    attributes: ["drover.node", "outcome"],
    by: "router",
  },
  hungAttempts: {
    name: "drover.attempts.hung",
    kind: "counter",
    unit: "{attempt}",
    description:
      "Attempts that hung and got a second one beside them on another node, by the node that hung and what hung: agent-silent, nothing-said or slot-quiet.",
    attributes: ["drover.node", "hang"],
    by: "router",
  },
  requestBodies: {
    name: "drover.request_bodies",
    kind: "gauge",
    unit: "By",
    description: "Bytes of requests that this router holds until no attempt needs them; at 512 MiB it refuses more.",
    attributes: [],
    by: "router",
  },
  relayBytes: {
    name: "drover.relay.bytes",
    kind: "counter",
    unit: "By",
    description:
      "Bytes of messages that went through the router, requests (in) and answers (out), counted when a call ends.",
    attributes: ["direction"],
    by: "router",
  },
  ejections: {
    name: "drover.ejections",
    kind: "counter",
    unit: "{ejection}",
    description: "Nodes, or models on nodes (scope), that were ejected for failing.",
    attributes: ["drover.node", "scope"],
    by: "router",
  },
  ejectionsNotEnforced: {
    name: "drover.ejections.not_enforced",
    kind: "counter",
    unit: "{ejection}",
    description: "Ejections that were due and not carried out, because too many others are out already.",
    attributes: [],
    by: "router",
  },
  nodesEjected: {
    name: "drover.nodes.ejected",
    kind: "gauge",
    unit: "{node}",
    description: "Nodes that get no calls now because they failed; they stay in drover.nodes.",
    attributes: [],
    by: "router",
  },
  membershipAge: {
    name: "drover.membership.age",
    kind: "gauge",
    unit: "s",
    description:
      "Since a discovery source (consul, file) answered well the last time; none before its first answer. Consul's own is below 35 s while all is well.",
    attributes: ["source"],
    by: "router",
  },
  membershipTrouble: {
    name: "drover.membership.trouble",
    kind: "gauge",
    unit: "1",
    description: "1 while a discovery source cannot be asked; its last list stands.",
    attributes: ["source"],
    by: "router",
  },
  membershipSuspect: {
    name: "drover.membership.suspect",
    kind: "gauge",
    unit: "1",
    description:
      "1 while a discovery source's last list is not believed as it stands: nodes that vanished from it are kept.",
    attributes: ["source"],
    by: "router",
  },
  members: {
    name: "drover.members",
    kind: "gauge",
    unit: "{endpoint}",
    description:
      "Endpoints that a discovery source names, by what is told of them: serving, draining, down, or suspect (lost sight of).",
    attributes: ["source", "standing"],
    by: "router",
  },
  nodes: {
    name: "drover.nodes",
    kind: "gauge",
    unit: "{node}",
    description: "Nodes by what they can do now: available, or why not.",
    attributes: ["availability"],
    by: "router",
  },
  nodeSlots: {
    name: "drover.node.slots",
    kind: "gauge",
    unit: "{slot}",
    description: "Slots of the loaded runners of a node, as its agent told last: busy (running or cooling) or free.",
    attributes: ["drover.node", "state"],
    by: "router",
  },
  nodeQueue: {
    name: "drover.node.queue",
    kind: "gauge",
    unit: "{call}",
    description: "Calls in a node's queue, as its agent told last.",
    attributes: ["drover.node"],
    by: "router",
  },
  slots: {
    name: "drover.slots",
    kind: "gauge",
    unit: "{slot}",
    description:
      "Slots of this node's loaded runners: running, cooling (the call is gone, Ollama still reads its prompt) or free.",
    attributes: ["state"],
    by: "agent",
  },
  queue: {
    name: "drover.queue",
    kind: "gauge",
    unit: "{call}",
    description: "Calls that wait in this agent's queue.",
    attributes: [],
    by: "agent",
  },
  queueWait: {
    name: "drover.queue.wait",
    kind: "histogram",
    unit: "s",
    description: "How long a call waited for its slot at this agent, without the time of a load.",
    attributes: ["gen_ai.request.model"],
    by: "agent",
    buckets: SECONDS,
  },
  loadDuration: {
    name: "drover.load.duration",
    kind: "histogram",
    unit: "s",
    description: "How much of a call's wait was a load of its model; calls that found it loaded are not counted.",
    attributes: ["gen_ai.request.model"],
    by: "agent",
    buckets: SECONDS,
  },
} as const satisfies Record<string, InstrumentDescription>;

export type InstrumentName = keyof typeof INSTRUMENTS;

type NamesOf<K extends InstrumentDescription["kind"]> = {
  [N in InstrumentName]: (typeof INSTRUMENTS)[N]["kind"] extends K ? N : never;
}[InstrumentName];

export type HistogramName = NamesOf<"histogram">;
export type CounterName = NamesOf<"counter">;
export type GaugeName = NamesOf<"gauge">;
