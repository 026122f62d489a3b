// Finds the real programs that tests talk to, on PATH and in the variables that a provisioning script sets. A suite
// that misses one skips and says so; under CI=true it fails, because there nothing may be left out unseen.
import { accessSync, constants } from "node:fs";
import path from "node:path";
import { describe, expect, it } from "vitest";

/** Where each program is looked for. `model` is a chat model as a GGUF file; `python` has grpcio installed. */
const PLACES = {
  chromium: () => onPath("chromium"),
  consul: () => onPath("consul"),
  envoy: () => onPath("envoy"),
  grpcurl: () => onPath("grpcurl"),
  nginx: () => onPath("nginx"),
  ollama: () => onPath("ollama"),
  openssl: () => onPath("openssl"),
  "systemd-analyze": () => onPath("systemd-analyze"),
  model: () => process.env["DROVER_MODEL_GGUF"] ?? "",
  python: () => path.join(process.env["DROVER_TOOLS"] ?? "", "python", "bin", "python"),
} as const;

const WANTED = {
  chromium: "chromium on PATH",
  consul: "consul on PATH",
  envoy: "envoy on PATH",
  grpcurl: "grpcurl on PATH",
  nginx: "nginx on PATH",
  ollama: "ollama on PATH",
  openssl: "openssl on PATH",
  "systemd-analyze": "systemd-analyze on PATH",
  model: "DROVER_MODEL_GGUF naming a GGUF file",
  python: "DROVER_TOOLS with python/bin/python and grpcio in it",
} as const satisfies Record<ProgramName, string>;

export type ProgramName = keyof typeof PLACES;

/** The path of a real program or file, or undefined where this machine has none. */
export function findProgram(name: ProgramName): string | undefined {
  const file = PLACES[name]();
  return isReadable(file) ? file : undefined;
}

/**
 * A `describe` that needs real programs: `body` gets their paths. Where one is missing the suite is skipped with a line
 * on standard error, and under CI=true it is one failing test that names what is missing.
 */
export function describeWith<Name extends ProgramName>(
  names: readonly Name[],
  title: string,
  body: (paths: Readonly<Record<Name, string>>) => void,
): void {
  const missing = names.filter((name) => findProgram(name) === undefined).map((name) => WANTED[name]);
  if (missing.length === 0) {
    describe(title, () => body(pathsOf(names)));
    return;
  }
  const reason = `needs ${missing.join(" and ")}`;
  const isCi = process.env["CI"] === "true";
  if (!isCi) process.stderr.write(`SKIPPED: ${title}: ${reason}\n`);
  describe(title, () => {
    it.skipIf(!isCi)(reason, () => expect.fail(`${title} ${reason}, and CI=true lets no suite be skipped.`));
  });
}

function pathsOf<Name extends ProgramName>(names: readonly Name[]): Readonly<Record<Name, string>> {
  return Object.fromEntries(names.map((name) => [name, findProgram(name) ?? ""])) as Record<Name, string>;
}

function onPath(program: string): string {
  const folders = (process.env["PATH"] ?? "").split(path.delimiter);
  return folders.map((folder) => path.join(folder, program)).find(isReadable) ?? "";
}

function isReadable(file: string): boolean {
  if (file === "") return false;
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
