/**
 * `npm run bench -- NAME [--json]`: runs one benchmark and prints its figures. The exit code says whether it ran, not
 * whether goals were met: machines differ, and a missed goal is for people to judge.
 */
import { benchCancel } from "./cancel/cancel-bench.ts";
import { benchClient } from "./client/client-bench.ts";
import { benchConsul } from "./consul/consul-bench.ts";
import { type Figure, printFigure } from "./figure.ts";
import { benchPick } from "./pick.ts";
import { benchRelay } from "./relay/relay-bench.ts";
import { benchTelemetry } from "./telemetry/telemetry-bench.ts";

interface Bench {
  readonly about: string;
  /** What takes minutes yields each figure when it is known. */
  readonly run: () => Promise<readonly Figure[]> | AsyncIterable<Figure>;
}

const BENCHES: Readonly<Record<string, Bench>> = {
  cancel: {
    about: "from a caller's leaving to Ollama's closed socket, the free place or the free slot",
    run: benchCancel,
  },
  client: {
    about: "what the client costs an application, per call and per token, against a bare one",
    run: benchClient,
  },
  consul: {
    about: "following a real Consul: CPU and stalls by size of the fleet, time until a node that leaves gets no calls",
    run: benchConsul,
  },
  pick: { about: "time to choose a node, by size of the fleet", run: benchPick },
  relay: { about: "the router against nginx, a bare relay and a direct call; nodes that die or hang", run: benchRelay },
  telemetry: { about: "what metrics and traces cost the router", run: benchTelemetry },
};

const name = process.argv[2] ?? "";
const bench = BENCHES[name];
if (bench === undefined) {
  const names = Object.entries(BENCHES).map(([key, { about }]) => `  ${key.padEnd(9)} ${about}`);
  process.stderr.write(`usage: npm run bench -- NAME [--json]\n${names.join("\n")}\n`);
  process.exitCode = name === "" || name === "--help" ? 0 : 2;
} else {
  const isJson = process.argv.includes("--json");
  for await (const figure of await bench.run()) printFigure(figure, isJson);
}
