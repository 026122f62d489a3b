// `npm run check`, the one gate: runs every step, goes on after a failure, prints what failed steps said, and ends
// non-zero if any failed. Needs no git, so an exported copy can be checked too.
import { existsSync } from "node:fs";
import path from "node:path";
import { checkGenerated } from "./generated-fresh.ts";
import { ROOT, runTool, type ToolResult } from "./run-tool.ts";

interface Step {
  readonly name: string;
  readonly run: () => Promise<ToolResult>;
}

/** The contracts as the last release shipped them: `buf build -o proto/last-release.binpb` at each release. */
const RELEASE_IMAGE = "proto/last-release.binpb";

const STEPS: readonly Step[] = [
  {
    name: "format",
    run: () => runTool("biome", ["check", "--linter-enabled=false", "--colors=off", "--reporter=concise"]),
  },
  {
    name: "lint, layers, import cycles",
    run: () =>
      runTool("biome", ["lint", "--error-on-warnings", "--max-diagnostics=200", "--colors=off", "--reporter=concise"]),
  },
  { name: "types", run: () => runTool("tsc", ["--project", "tsconfig.json", "--pretty", "false"]) },
  // With a browser's globals, and the page of the example without Node's.
  { name: "types in a browser", run: checkBrowserTypes },
  { name: "proto lint", run: () => runTool("buf", ["lint"]) },
  {
    name: "proto format",
    run: () => runTool("buf", ["format", "--diff", "--exit-code", "--path", "proto/drover"]),
  },
  { name: "proto breaking", run: checkBreaking },
  { name: "generated code fresh", run: checkGenerated },
  { name: "lock file complete", run: () => runTool("node", ["tools/complete-lock.ts", "--check"]) },
  { name: "unit tests", run: () => runTool("vitest", ["run", "--project", "unit", "--reporter", "dot"]) },
];

async function checkBrowserTypes(): Promise<ToolResult> {
  const page = await runTool("tsc", ["--project", "clients/examples/browser/tsconfig.json", "--pretty", "false"]);
  return page.isPassed ? await runTool("tsc", ["--project", "e2e/tsconfig.browser.json", "--pretty", "false"]) : page;
}

async function checkBreaking(): Promise<ToolResult> {
  if (existsSync(path.join(ROOT, RELEASE_IMAGE))) return await runTool("buf", ["breaking", "--against", RELEASE_IMAGE]);
  return { isPassed: true, output: `nothing to compare with: no ${RELEASE_IMAGE} before the first release` };
}

async function main(): Promise<void> {
  const failed: string[] = [];
  for (const step of STEPS) {
    const beganMs = Date.now();
    const { isPassed, output } = await step.run();
    const seconds = ((Date.now() - beganMs) / 1000).toFixed(1);
    const remark = step.run === checkBreaking && isPassed && output !== "" ? `: ${output}` : "";
    process.stdout.write(`${isPassed ? "ok  " : "FAIL"} ${step.name} (${seconds} s)${remark}\n`);
    if (isPassed) continue;
    failed.push(step.name);
    process.stdout.write(`${output.trimEnd()}\n\n`);
  }
  process.stdout.write(failed.length === 0 ? "All checks passed.\n" : `Failed: ${failed.join("; ")}.\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

await main();
