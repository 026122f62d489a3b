/** Holds the dashboard and the Prometheus files of deploy/ to the table of instruments: what they name exists. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { INSTRUMENTS, type InstrumentDescription } from "./instruments.table.ts";

const read = (path: string): string =>
  readFileSync(fileURLToPath(new URL(`../../../../deploy/${path}`, import.meta.url)), "utf8");

/** Of Prometheus itself, and of the buckets of histograms. */
const OF_PROMETHEUS = ["job", "instance", "le"];

/** Metrics as Prometheus shows them, with their labels. */
const METRICS: ReadonlyMap<string, readonly string[]> = new Map([
  ["up", OF_PROMETHEUS],
  ...Object.values<InstrumentDescription>(INSTRUMENTS).flatMap(({ name, kind, attributes }) => {
    const labels = [...OF_PROMETHEUS, ...attributes.map((attribute) => attribute.replaceAll(".", "_"))];
    const suffixes = { counter: ["_total"], gauge: [""], histogram: ["_bucket", "_sum", "_count"] }[kind];
    return suffixes.map((suffix): [string, readonly string[]] => [`${name.replaceAll(".", "_")}${suffix}`, labels]);
  }),
]);

/** What of an expression, and of the words that show its result, is nowhere described. Reads PromQL only as far as names go. */
function unknownNames(expr: string, words = ""): string[] {
  const unknown: string[] = [];
  const known = new Set<string>();
  const bare = expr
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\[[^\]]*\]/g, "")
    .replace(/([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}/g, (_, metric: string, matchers: string) => {
      for (const [, label = ""] of matchers.matchAll(/([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)/g))
        if (METRICS.has(metric) && METRICS.get(metric)?.includes(label) !== true) unknown.push(`${metric}{${label}}`);
      return metric;
    });
  const grouped: string[] = [];
  const rest = bare.replace(/\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g, (_, labels: string) => {
    grouped.push(...(labels.match(/\w+/g) ?? []));
    return " ";
  });
  for (const [, name = ""] of rest.matchAll(/(?<![\w.])([a-zA-Z_:][\w:]*)\b(?!\s*\()/g)) {
    if (["and", "or", "unless", "bool", "offset"].includes(name)) continue;
    for (const label of METRICS.get(name) ?? []) known.add(label);
    if (!METRICS.has(name)) unknown.push(name);
  }
  for (const [, label = ""] of words.matchAll(/\{\{\s*(?:\$labels\.)?([a-z_]\w*)/g)) grouped.push(label);
  return [...unknown, ...grouped.filter((label) => !known.has(label))];
}

interface Target {
  readonly expr: string;
  readonly legendFormat: string;
}

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly Target[];
}

const { panels } = JSON.parse(read("grafana/drover.json")) as { readonly panels: readonly Panel[] };

describe("the Grafana dashboard", () => {
  it.each(panels.filter(({ type }) => type !== "row").map((panel) => [panel.title, panel] as const))(
    "asks for metrics that exist: %s",
    (_, { targets = [] }) => {
      expect(targets.length).toBeGreaterThan(0);
      expect(targets.flatMap(({ expr, legendFormat }) => unknownNames(expr, legendFormat))).toEqual([]);
    },
  );

  it("has an id of its own for each panel", () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  });
});

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string };
}

describe("the alerts", () => {
  const { groups } = parse(read("prometheus/drover-rules.yml")) as { groups: { rules: Rule[] }[] };
  it.each(groups.flatMap(({ rules }) => rules).map((rule) => [rule.alert, rule] as const))(
    "ask for metrics that exist: %s",
    (_, { expr, annotations }) => {
      expect(unknownNames(expr, annotations.summary)).toEqual([]);
    },
  );
});

describe.each(["prometheus.yml", "prometheus-consul.yml"])("%s", (file) => {
  it("scrapes routers and agents under the names by which dashboard and alerts know them, and loads the alerts", () => {
    const config = parse(read(`prometheus/${file}`)) as {
      rule_files: string[];
      scrape_configs: { job_name: string }[];
    };
    expect(config.rule_files).toEqual(["drover-rules.yml"]);
    const jobs = config.scrape_configs.map(({ job_name }) => job_name);
    const asked = `${read("grafana/drover.json").replaceAll('\\"', '"')}${read("prometheus/drover-rules.yml")}`;
    const named = [...asked.matchAll(/job=~?"([^"]+)"/g)].flatMap(([, names = ""]) => names.split("|"));
    expect(jobs.sort()).toEqual([...new Set(named)].sort());
  });
});

describe("the reading of expressions", () => {
  it.each([
    ["rate(drover_cals[5m])", ["drover_cals"]],
    ['sum by (le, modell) (rate(drover_load_duration_bucket{job="a"}[5m]))', ["modell"]],
    ['drover_calls{stat="waiting"} > 5 or drover_queue', ["drover_calls{stat}"]],
    ["drover_attempts", ["drover_attempts"]],
    ["histogram_quantile(0.5, sum by (le) (rate(drover_queue_wait_bucket[1m]))) > 1e3", []],
  ])("finds what is not described in %s", (expr, names) => {
    expect(unknownNames(expr)).toEqual(names);
  });

  it("finds a label that the words name and the metric lacks", () => {
    expect(unknownNames("drover_queue", "{{ $labels.instance }} {{ $value }} {{node}}")).toEqual(["node"]);
  });
});
