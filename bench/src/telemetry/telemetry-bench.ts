/**
 * What a router pays for being seen: the same streams through one that measures and traces every call, one that measures alone
 * (as it does by default), and one whose OpenTelemetry is switched off; in one run and in turns.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Figure } from "../figure.ts";
import { type Program, startProgram } from "../processes.ts";
import { cpuOf, measure, PACED, type Samples, SHORT } from "../relay/measure.ts";

const GOAL = 1.05;
/** Differences of a few per cent want more rounds than ratios between programs. */
const ROUNDS = 9;

export async function* benchTelemetry(): AsyncIterable<Figure> {
  const stateDir = mkdtempSync(join(tmpdir(), "drover-bench-"));
  const programs: Program[] = [];
  const start = async (...given: Parameters<typeof startProgram>): Promise<Program> => {
    const program = await startProgram(...given);
    programs.push(program);
    return program;
  };
  try {
    const agent = await start(new URL("../relay/bench-agent.ts", import.meta.url), []);
    const sink = await start(new URL("./span-sink.ts", import.meta.url), []);
    const router = (name: string, env: Readonly<Record<string, string>>): Promise<Program> => {
      const args = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--nodes", agent.address];
      const bin = new URL("../../../services/router/bin/drover-router.js", import.meta.url);
      return start(bin, [...args, "--state-dir", join(stateDir, name), "--log-level", "warn"], { env });
    };
    const targets = new Map([
      ["off", await router("off", { OTEL_SDK_DISABLED: "true" })],
      ["metrics", await router("metrics", {})],
      ["traces", await router("traces", { OTEL_EXPORTER_OTLP_ENDPOINT: `http://${sink.address}` })],
    ]);
    yield* pacedFigures(await measure(targets, PACED, ROUNDS));
    yield* callFigures(await measure(targets, SHORT, ROUNDS));
  } finally {
    for (const program of programs.reverse()) program.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

function* pacedFigures(samples: Samples): Iterable<Figure> {
  const perToken = (name: string): number => cpuOf(samples, name) / (PACED.chunks + 1);
  const baseline = perToken("off");
  for (const [name, what] of [
    ["metrics", "metrics"],
    ["traces", "metrics and traces"],
  ] as const) {
    const value = perToken(name);
    const goal = `<= ${GOAL} x baseline`;
    yield {
      name: `router CPU per paced token, ${what}`,
      value,
      unit: "us",
      baseline,
      goal,
      ok: value <= GOAL * baseline,
    };
  }
}

function* callFigures(samples: Samples): Iterable<Figure> {
  const baseline = cpuOf(samples, "off");
  yield { name: "router CPU per short stream, metrics", value: cpuOf(samples, "metrics"), unit: "us", baseline };
  yield {
    name: "router CPU per short stream, metrics and traces",
    value: cpuOf(samples, "traces"),
    unit: "us",
    baseline,
  };
  yield { name: "metrics of one call", value: cpuOf(samples, "metrics") - baseline, unit: "us" };
  yield { name: "metrics and traces of one call", value: cpuOf(samples, "traces") - baseline, unit: "us" };
}
