import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const LAUNCHERS = ["router", "agent", "sim-ollama"];

/** Runs a launcher in a process that claims to be an older Node. */
function launchOn(version: string, name: string): { status: number | null; stdout: string; stderr: string } {
  const launcher = fileURLToPath(new URL(`../../services/${name}/bin/drover-${name}.js`, import.meta.url));
  const pretend = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } });`;
  const preload = `data:text/javascript,${encodeURIComponent(pretend)}`;
  return spawnSync(process.execPath, ["--import", preload, launcher], { encoding: "utf8" });
}

describe.each(LAUNCHERS)("the launcher of %s", (name) => {
  it.each(["18.20.8", "20.20.2", "22.18.0"])("refuses Node %s with one sentence and exit code 1", (version) => {
    const { status, stdout, stderr } = launchOn(version, name);
    expect(stderr).toBe(`drover-${name} needs Node 22.19 or newer; this is Node ${version}.\n`);
    expect(stdout).toBe("");
    expect(status).toBe(1);
  });
});
