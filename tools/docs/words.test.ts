/** What the pages in docs/ quote is in the code: messages, flags, metrics, metadata keys and reasons. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { CLIENT_REASONS } from "../../clients/typescript/src/errors/reasons.ts";
import { NodeAvailability } from "../../proto/gen/drover/router/v1/router_pb.js";
import { agentConfig } from "../../services/agent/src/agent-config.ts";
import { ENDINGS, type EndingKind, reasonOf } from "../../services/platform/src/endings.ts";
import { META } from "../../services/platform/src/metadata.ts";
import { INSTRUMENTS } from "../../services/platform/src/telemetry/instruments.table.ts";
import { statusName } from "../../services/platform/src/telemetry/rpc-attributes.ts";
import { startConfig } from "../../services/quickstart/src/config.ts";
import { routerConfig } from "../../services/router/src/config.ts";
import { simConfig } from "../../services/sim-ollama/src/sim-config.ts";
import { prometheusName } from "../metrics-reference.ts";
import { ROOT } from "../run-tool.ts";
import { cellsOf, codeSpansOf, readMarkdown } from "./markdown.ts";
import { pagePaths, readPage } from "./pages.ts";

const PAGES = pagePaths(path.join(ROOT, "docs")).filter((page) => !page.startsWith("docs/reference/"));

/** Columns in which each code span is something that a program prints. */
const QUOTING = new Set(["you see", "as `SelectNode` says it"]);

/** All code of the services and of the client, with `…` for what a template fills in, and without the seams of long texts. */
const SAID = ["services", "clients/typescript"]
  .flatMap((folder) => sourceFiles(path.join(ROOT, folder)))
  .map((file) => readFileSync(file, "utf8"))
  .join("\n")
  .replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, "…")
  .replaceAll(/["`] \+\s+["`]/g, "")
  .replaceAll(/\\(["`])/g, "$1");

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => file.includes("src") && file.endsWith(".ts") && !/\.(test|cases|contract|d)\.ts$/.test(file))
    .map((file) => path.join(folder, file));
}

function isSaid(quote: string): boolean {
  const pattern = quote
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("[^\\n]{1,120}?");
  return new RegExp(pattern).test(SAID);
}

/** What stands in a quoting column and is more than one word: a word alone may be a name. */
function quotesOf(page: string): string[] {
  let columns: readonly boolean[] = [];
  return readMarkdown(readPage(page)).proseLines.flatMap((line) => {
    const cells = cellsOf(line);
    if (cells === undefined) columns = [];
    else if (columns.length === 0) columns = cells.map((cell) => QUOTING.has(cell));
    const quoting = cells?.filter((_, index) => columns[index] === true && !QUOTING.has(cells[index] ?? "")) ?? [];
    return quoting.flatMap(codeSpansOf).filter((span) => /[ …]/.test(span));
  });
}

const spansOf = (page: string): readonly string[] => readMarkdown(readPage(page)).proseLines.flatMap(codeSpansOf);

const FLAGS = new Set(
  [routerConfig, agentConfig, simConfig, startConfig].flatMap(({ options }) =>
    Object.values(options).map(({ flag }) => `--${flag}`),
  ),
);
const METRICS = new Set(
  Object.values(INSTRUMENTS).flatMap(({ name, kind, attributes }) => [
    prometheusName(name, kind),
    ...attributes.map((attribute) => attribute.replaceAll(".", "_")),
  ]),
);
const KEYS = new Set<string>([...Object.values(META), "drover-router", "drover-agent", "drover-sim-ollama"]);
const CAPITALS = new Set([
  ...Object.keys(ENDINGS).map((kind) => reasonOf(kind as EndingKind)),
  ...Object.values(ENDINGS).map(({ code }) => statusName(code)),
  ...Object.keys(NodeAvailability),
  ...CLIENT_REASONS,
]);

/** A kind of name that can be told by its look, and whether the code has it. */
const NAMES: readonly (readonly [string, RegExp, (name: string) => boolean])[] = [
  ["a flag", /^--[a-z][a-z-]*/, (name) => FLAGS.has(name)],
  ["a metric or its label", /^(?:drover|rpc|gen_ai)_[a-z_]+$/, (name) => METRICS.has(name)],
  ["a key of metadata", /^drover-[a-z-]+$/, (name) => KEYS.has(name)],
  ["a reason or status", /^(?!DROVER_|OLLAMA_|CONSUL_|OTEL_|XDG_)[A-Z]+(?:_[A-Z]+)+$/, (name) => CAPITALS.has(name)],
];

function strangersOf(page: string): string[] {
  return spansOf(page).flatMap((span) =>
    NAMES.flatMap(([what, pattern, isKnown]) => {
      const name = pattern.exec(span)?.[0];
      return name === undefined || isKnown(name) ? [] : [`${name} is not ${what}`];
    }),
  );
}

describe("what is quoted", () => {
  it("would be missed where the code does not say it", () => {
    expect(isSaid('No node has model "…".')).toBe(true);
    expect(isSaid('No machine has model "…".')).toBe(false);
    expect(quotesOf("docs/operating.md").length).toBeGreaterThan(40);
  });

  it.each(PAGES)("in %s is what the programs say", (page) => {
    expect(quotesOf(page).filter((quote) => !isSaid(quote))).toEqual([]);
  });

  it.each(PAGES)("in %s as a flag, metric, key or reason exists", (page) => {
    expect(strangersOf(page)).toEqual([]);
  });
});
