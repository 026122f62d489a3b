/** The reference of the contracts leaves nothing out: every name of the .proto files, read as text, stands on its page. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { ROOT } from "../run-tool.ts";
import { readPage } from "./pages.ts";

const NAMES: readonly (readonly [RegExp, (name: string) => string])[] = [
  [/^\s*(?:service|message|enum) (\w+) \{/gm, (name) => `## ${name}\n`],
  [/^\s*rpc (\w+)\(/gm, (name) => `**${name}**<br>`],
  [/^\s*(?:[\w.<>, ]+ )?(\w+) = \d+;/gm, (name) => `| \`${name}\` |`],
];

it.each(["agent", "fleet", "inference", "router"])("drover.%s.v1 is told whole", (name) => {
  const proto = readFileSync(path.join(ROOT, "proto", "drover", name, "v1", `${name}.proto`), "utf8");
  const page = readPage(`docs/reference/${name}.md`);
  const told = NAMES.flatMap(([pattern, written]) =>
    [...proto.matchAll(pattern)].map(([, found = ""]) => written(found)),
  );
  expect(told.length).toBeGreaterThan(20);
  expect(told.filter((text) => !page.includes(text))).toEqual([]);
});
