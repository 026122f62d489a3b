/**
 * What a router costs and what it saves its callers from. First the router against a bare relay, nginx's grpc_pass where there is one, and a direct call, in one run and in turns: what
 * counts are the ratios, because machines and their moods differ.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deadlineFigures } from "../faults/deadline.ts";
import { hungNodeFigures } from "../faults/hung-node.ts";
import { killedNodeFigures } from "../faults/killed-nodes.ts";
import { type Figure, median } from "../figure.ts";
import { type Program, startNginx, startProgram } from "../processes.ts";
import { cpuOf, measure, PACED, type Samples, SHORT, timeOf } from "./measure.ts";

export async function* benchRelay(): AsyncIterable<Figure> {
  yield* await costFigures();
  yield* await killedNodeFigures();
  yield* await hungNodeFigures();
  yield* await deadlineFigures();
}

async function costFigures(): Promise<readonly Figure[]> {
  const stateDir = mkdtempSync(join(tmpdir(), "drover-bench-"));
  const programs: Program[] = [];
  const started = <P extends Program | undefined>(program: P): P => {
    if (program !== undefined) programs.push(program);
    return program;
  };
  try {
    const agent = started(await startProgram(new URL("./bench-agent.ts", import.meta.url), []));
    const targets = new Map<string, Program>([["direct", agent]]);
    targets.set("bare", started(await startProgram(new URL("./bare-relay.ts", import.meta.url), [agent.address])));
    const routerArgs = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--nodes", agent.address];
    const routerBin = new URL("../../../services/router/bin/drover-router.js", import.meta.url);
    targets.set(
      "router",
      started(await startProgram(routerBin, [...routerArgs, "--state-dir", stateDir, "--log-level", "warn"])),
    );
    const nginx = started(await startNginx(agent.address));
    if (nginx !== undefined) targets.set("nginx", nginx);
    return [...pacedFigures(await measure(targets, PACED)), ...shortFigures(await measure(targets, SHORT))];
  } finally {
    for (const program of programs.reverse()) program.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

function pacedFigures(samples: Samples): readonly Figure[] {
  const perToken = (name: string): number => cpuOf(samples, name) / (PACED.chunks + 1);
  const added = (name: string, share: number): number =>
    timeOf(samples, name, share) - timeOf(samples, "direct", share);
  const figures: Figure[] = [compare("router CPU per paced token", perToken("router"), perToken("bare"), 1.25)];
  if (samples.has("nginx")) figures.push(compare("  against nginx", perToken("router"), perToken("nginx"), 1));
  const seconds = (name: string): number => (cpuOf(samples, name) * PACED.streams) / 1_000_000;
  figures.push({
    name: `router CPU for ${PACED.streams} streams of ${PACED.chunks} tokens`,
    value: seconds("router"),
    unit: "s",
    baseline: seconds("bare"),
    goal: "<= 0.6 s",
    ok: seconds("router") <= 0.6,
  });
  const p50 = added("router", 0.5);
  const p99 = added("router", 0.99);
  figures.push({
    name: "added time to first token p50",
    value: p50,
    unit: "ms",
    baseline: added("bare", 0.5),
    goal: "<= 0.6 ms",
    ok: p50 <= 0.6,
  });
  figures.push({
    name: "added time to first token p99",
    value: p99,
    unit: "ms",
    baseline: added("bare", 0.99),
    goal: "<= 4 ms and 1.5 x baseline",
    ok: p99 <= Math.min(4, 1.5 * added("bare", 0.99)),
  });
  return figures;
}

function shortFigures(samples: Samples): readonly Figure[] {
  const rate = median((samples.get("router") ?? []).map((sample) => sample.streamsPerSecond));
  const perCore = 1_000_000 / cpuOf(samples, "router");
  const figures: Figure[] = [
    {
      name: "router CPU per short stream",
      value: cpuOf(samples, "router"),
      unit: "us",
      baseline: cpuOf(samples, "bare"),
    },
    { name: "short calls per second of one core", value: perCore, unit: "1/s", goal: ">= 4000", ok: perCore >= 4_000 },
    { name: "short calls per second in this run", value: rate, unit: "1/s" },
  ];
  if (samples.has("nginx"))
    figures.push(
      compare("router CPU per short stream, against nginx", cpuOf(samples, "router"), cpuOf(samples, "nginx"), 4),
    );
  return figures;
}

function compare(name: string, value: number, baseline: number, ratio: number): Figure {
  return { name, value, unit: "us", baseline, goal: `<= ${ratio} x baseline`, ok: value <= ratio * baseline };
}
