/** The reference of flags: one table for each group of each program, from the tables that flags, variables and --help come from. */
import { envNameOf, type Option, type ProgramDescription } from "../../services/platform/src/config/define.ts";
import type { Page } from "./proto-reference.ts";

const HEAD = `# Flags

Each flag is also an environment variable and, for router and agent, a key of the YAML file that \`--config\` names (\`max-wait: 60s\`).
Flags win over the environment, the environment over the file. Wrong values, unknown flags and unknown keys are all reported at
once, before anything listens. Durations are written \`500ms\`, \`30s\`, \`5m\`. Lists are separated by commas, or the flag is repeated.

[Operating](../operating.md#flags-by-question) says which one to reach for. Written from the programs' own tables by \`npm run generate\`.
`;

export function flagsPage(programs: readonly ProgramDescription[]): Page {
  const sections = programs.map(
    (program) => `\n## ${program.name}\n\n${program.summary}\n${groupsOf(program).join("")}`,
  );
  return {
    name: "flags.md",
    title: "Flags",
    summary: "Every flag of every program, with its default and its variable.",
    text: `${HEAD}${sections.join("")}`,
  };
}

function groupsOf({ options }: ProgramDescription): string[] {
  const all = Object.values<Option<unknown>>(options);
  const groups = [...new Set(all.map(({ group }) => group))];
  return groups.map((group) => {
    const rows = all.filter((each) => each.group === group).map(row);
    return `\n**${group}**\n\n| flag | default | variable | meaning |\n|---|---|---|---|\n${rows.join("")}`;
  });
}

function row(option: Option<unknown>): string {
  const cells = [`\`${writtenAs(option)}\``, defaultOf(option), `\`${envNameOf(option.flag)}\``, option.help];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`;
}

function writtenAs(option: Option<unknown>): string {
  switch (option.kind) {
    case "switch":
      return `--${option.flag}`;
    case "list":
      return `--${option.flag} ${option.value}${option.value.endsWith("…") ? "" : ",…"}`;
    case "text":
      return option.bare === undefined ? `--${option.flag} ${option.value}` : `--${option.flag} [${option.value}]`;
  }
}

function defaultOf(option: Option<unknown>): string {
  if (option.kind === "switch") return "off";
  if (option.kind === "list") return "none";
  if (option.defaultHelp !== undefined) return option.defaultHelp;
  return typeof option.default === "string" && option.default !== "" ? `\`${option.default}\`` : "none";
}
