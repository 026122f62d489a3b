/** Writes docs/metrics.md from the table of instruments: `npm run generate`. A test holds the two together. */
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { INSTRUMENTS, type InstrumentDescription } from "../services/platform/src/telemetry/instruments.table.ts";

export const METRICS_FILE = fileURLToPath(new URL("../docs/metrics.md", import.meta.url));

const HEAD = `# Metrics

Router and agent answer \`/metrics\` on their operators' port (\`--ops-listen\`) in the format of Prometheus. This page is written from
\`services/platform/src/telemetry/instruments.table.ts\` by \`npm run generate\`.

Label values are bounded: models are told apart by the names that nodes have for them, nodes by their names, at most 500 of each;
the rest is \`_OTHER\`. Counters end in \`_total\`, histograms have \`_bucket\`, \`_sum\` and \`_count\`.
`;

export function metricsReference(): string {
  const sections = (["both", "router", "agent"] as const).map((by) => {
    const rows = Object.values<InstrumentDescription>(INSTRUMENTS).filter((each) => each.by === by);
    const heading = by === "both" ? "Router and agent" : by === "router" ? "Router" : "Agent";
    return `\n## ${heading}\n\n| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|\n${rows.map(row).join("")}`;
  });
  return `${HEAD}${sections.join("")}`;
}

function row({ name, kind, unit, attributes, description }: InstrumentDescription): string {
  const labels = attributes.map((attribute) => `\`${attribute.replaceAll(".", "_")}\``).join(", ") || "none";
  return `| \`${prometheusName(name, kind)}\` | ${kind} | ${unit.replace(/[{}]/g, "")} | ${labels} | ${description} |\n`;
}

/** As the exporter writes it. */
export function prometheusName(name: string, kind: InstrumentDescription["kind"]): string {
  return `${name.replaceAll(".", "_")}${kind === "counter" ? "_total" : ""}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(METRICS_FILE, metricsReference());
