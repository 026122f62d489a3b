/** Holds the examples of --help to the flags: what people copy must start. */
import { type ConfigDefinition, loadConfig } from "@drover/platform";

/** One sentence for each example that its own program would refuse; `start` is the program as the examples call it. */
export function exampleProblems<C>(definition: ConfigDefinition<C>, start = definition.name): string[] {
  return definition.examples.flatMap((example) => {
    const { env, command } = partsOf(example);
    if (command !== start && !command.startsWith(`${start} `)) return [`${example}: does not start with ${start}`];
    const argv = command
      .slice(start.length)
      .split(" ")
      .filter((word) => word !== "" && word !== "--");
    const loaded = loadConfig(definition, { argv, env });
    return loaded.kind === "wrong" ? loaded.problems.map((problem) => `${example}: ${problem}`) : [];
  });
}

/** `DROVER_SLOTS=4 drover-agent --name a`, as a shell reads it. */
function partsOf(example: string): { readonly env: Record<string, string>; readonly command: string } {
  const [, variables = "", command = ""] = /^((?:[A-Z_]+=\S+ )*)(.*)$/.exec(example) ?? [];
  const pairs = variables.split(" ").filter((each) => each !== "");
  return { env: Object.fromEntries(pairs.map((pair) => pair.split("=", 2) as [string, string])), command };
}
