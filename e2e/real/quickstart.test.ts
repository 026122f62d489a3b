import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { runProgram } from "../src/run-program.ts";
import {
  CHECKOUT,
  type Descendant,
  leftAfter,
  runStart,
  type StartOptions,
  type StartProcess,
} from "../src/start-process.ts";

const started: StartProcess[] = [];

function start(flags: readonly string[] = [], options: StartOptions = {}): StartProcess {
  const process = runStart(flags, options);
  started.push(process);
  return process;
}

afterEach(async () => {
  for (const process of started.splice(0)) {
    const descendants = process.descendants();
    process.killAll();
    await process.ended;
    expect(await leftAfter(descendants)).toEqual([]);
  }
});

/** A port on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function kill(programs: readonly Descendant[], command: RegExp, signal: NodeJS.Signals = "SIGKILL"): void {
  const [program] = programs.filter((each) => command.test(each.command));
  if (program === undefined) throw new Error(`nothing runs that matches ${command}`);
  global.process.kill(program.pid, signal);
}

const ollamas: SimOllama[] = [];
afterAll(() => Promise.all(ollamas.map((ollama) => ollama.close())));

/** An Ollama in this process: one program less to start. */
async function ollamaWith(...models: (string | { name: string; sizeBytes?: number })[]): Promise<string> {
  const ollama = await createSimOllama({ host: "127.0.0.1", port: 0, models, speed: 200, loadSeconds: 0.05 });
  ollamas.push(ollama);
  return `http://${ollama.address}`;
}

describe("npm start where no Ollama answers", () => {
  test("answers from simulated nodes, prints what can be pasted, loses a node, and ends with SIGTERM", async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    const process = start([], { env: { OLLAMA_HOST: url } });
    const address = await process.serves();
    const shown = process.stdout();
    expect(shown).toContain(`No Ollama answered at ${url} (connection refused): using three simulated nodes`);
    for (const name of ["sim-fast", "sim-medium", "sim-slow"]) expect(shown).toContain(`${name} `);
    expect(shown).toMatch(/^llama3\.2:1b < .+\n\S.+\n\nsim-\w+ answered; 1 attempt, first token after \d+ ms\.$/m);
    expect(shown).not.toContain("\u001b");
    expect(shown).toMatch(
      new RegExp(`^grpcurl -plaintext -d '\\{"model":"llama3.2:1b".*' ${address} drover\\.inference.*/Chat$`, "m"),
    );
    expect(process.stderr()).toBe("");

    const file = /^\/\/ Asks the fleet[\s\S]*?^await drover\.close\(\);$/m.exec(shown)?.[0] ?? "";
    expect(file).toContain(`"${address}"`);
    const pasted = await runTypeScript(file);
    expect(pasted).toMatchObject({ code: 0, stderr: "" });
    expect(pasted.stdout.length).toBeGreaterThan(10);

    const nodes = await allNodes(address);
    expect(nodes).toEqual(["sim-fast", "sim-medium", "sim-slow"]);
    const programs = process.descendants();
    expect(programs).toHaveLength(7);
    kill(programs, /drover-agent.*sim-slow/);
    await process.shows("Unexpectedly the agent of sim-slow was ended by SIGKILL");
    await process.shows("Going on with sim-fast, sim-medium; to have sim-slow back, start again.");
    expect((await runTypeScript(file)).code).toBe(0);

    process.signal("SIGTERM");
    expect(await process.ended).toMatchObject({ code: 0, stderr: "" });
    expect(process.stdout().match(/Unexpectedly/g)).toHaveLength(1);
    expect(await leftAfter(programs)).toEqual([]);
  });

  /** Names of the nodes that take work, once all three do. */
  async function allNodes(address: string): Promise<(string | undefined)[]> {
    const router = createClient(RouterService, createGrpcTransport({ baseUrl: `http://${address}` }));
    return await vi.waitFor(
      async () => {
        const { nodes } = await router.listNodes({});
        const available = nodes.filter(({ availability }) => availability === NodeAvailability.AVAILABLE);
        expect(available).toHaveLength(3);
        return available.map(({ identity }) => identity?.name);
      },
      { timeout: 15_000, interval: 100 },
    );
  }

  async function runTypeScript(file: string): ReturnType<typeof runProgram> {
    const { execPath } = global.process;
    return await runProgram("sh", ["-c", `cd "$0" && "$1" --input-type=module-typescript -`, CHECKOUT, execPath], file);
  }
});

describe("how npm start ends", () => {
  const quick = async (flags: readonly string[] = [], options: StartOptions = {}): Promise<StartProcess> => {
    const process = start(["--no-sample", "--ollama", await ollamaWith("llama3.2:1b"), ...flags], options);
    await process.serves();
    return process;
  };

  test("Ctrl-C, which all its programs get, looks like a stop and not like a crash", async () => {
    const process = await quick(["--verbose"]);
    const programs = process.descendants();
    expect(programs).toHaveLength(2);
    // The order in which a group gets a signal is anybody's guess: here the agent is gone before the parent knows.
    kill(programs, /drover-agent/, "SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 200));
    process.signalGroup("SIGINT");
    const { code, stdout, stderr } = await process.ended;
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("\nStopping.\n");
    expect(stdout).not.toContain("Unexpectedly");
    expect(await leftAfter(programs)).toEqual([]);
  });

  test("nothing outlives it when it is killed", async () => {
    const process = await quick();
    const programs = process.descendants();
    expect(programs).toHaveLength(2);
    process.signal("SIGKILL");
    expect(await leftAfter(programs)).toEqual([]);
  });

  test.each(["SIGTERM", "SIGKILL"] as const)("nothing outlives npm, which passes on no %s", async (signal) => {
    const process = await quick([], { isThroughNpm: true });
    const programs = process.descendants();
    expect(programs.filter(({ command }) => command.includes("drover-"))).toHaveLength(2);
    process.signal(signal);
    expect(await leftAfter(programs)).toEqual([]);
  });

  test("Ctrl-C lets a running answer end", async () => {
    const pace = { speed: 20, answerTokens: 20, loadSeconds: 0.05 };
    const ollama = await createSimOllama({ host: "127.0.0.1", port: 0, models: ["llama3.2:1b"], ...pace });
    ollamas.push(ollama);
    const process = start(["--no-sample", "--ollama", `http://${ollama.address}`]);
    const inference = createClient(
      InferenceService,
      createGrpcTransport({ baseUrl: `http://${await process.serves()}` }),
    );
    const cases: unknown[] = [];
    for await (const { event } of inference.generate({ model: "llama3.2:1b", prompt: "Hello" })) {
      if (cases.length === 0) process.signalGroup("SIGINT");
      cases.push(event.case);
    }
    expect(cases.at(-1)).toBe("done");
    expect((await process.ended).code).toBe(0);
  });

  test("a second Ctrl-C ends it at once, in the middle of a call", async () => {
    const hanging = await createSimOllama({ host: "127.0.0.1", port: 0, models: ["slow:1b"], loadSeconds: 600 });
    ollamas.push(hanging);
    const process = start(["--no-sample", "--ollama", `http://${hanging.address}`]);
    const inference = createClient(
      InferenceService,
      createGrpcTransport({ baseUrl: `http://${await process.serves()}` }),
    );
    const call = inference.generate({ model: "slow:1b", prompt: "Hello" })[Symbol.asyncIterator]().next();
    await Promise.race([call.catch(() => undefined), new Promise((resolve) => setTimeout(resolve, 500))]);
    const programs = process.descendants();
    process.signalGroup("SIGINT");
    await process.shows("\nStopping.\n");
    const beganMs = performance.now();
    process.signalGroup("SIGINT");
    expect((await process.ended).code).toBe(1);
    expect(performance.now() - beganMs).toBeLessThan(2_000);
    expect(await leftAfter(programs)).toEqual([]);
  });

  test("Ctrl-C while it starts ends it with 0 and without complaints", async () => {
    const process = start(["--ollama", await ollamaWith("llama3.2:1b")]);
    while (process.descendants().length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    const programs = process.descendants();
    process.signalGroup("SIGINT");
    expect(await process.ended).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await leftAfter(programs)).toEqual([]);
  });

  test("without its router it ends with 1 and says why", async () => {
    const process = await quick();
    kill(process.descendants(), /drover-router/);
    const { code, stdout } = await process.ended;
    expect(code).toBe(1);
    expect(stdout).toContain("Unexpectedly the router was ended by SIGKILL; it said last:");
    expect(stdout).toContain("Nothing can be served without the router; ending.");
  });

  test("without its last node it ends with 1", async () => {
    const process = await quick();
    kill(process.descendants(), /drover-agent/);
    expect((await process.ended).code).toBe(1);
    expect(process.stdout()).toContain("Nothing can be served without a node; ending.");
  });
});

describe("npm start on Ollamas that are named", () => {
  test("takes each that answers as a node, says which does not, and prefers a model in memory for the sample", async () => {
    const [first, second] = [await ollamaWith("tiny:1m"), await ollamaWith({ name: "big:70b" }, "embed-only")];
    await fetch(`${second}/api/generate`, { method: "POST", body: JSON.stringify({ model: "big:70b" }) });
    const away = `http://127.0.0.1:${await closedPort()}`;
    const process = start(["--ollama", first, "--ollama", away, "--ollama", second.replace("http://", "")]);
    await process.serves();
    const shown = process.stdout();
    expect(shown).toContain(`No Ollama answered at ${away} (connection refused): going on without it.`);
    for (const url of [first, second]) expect(shown).toContain(`local-${new URL(url).port}`);
    expect(shown).toMatch(/^big:70b < /m);
    expect(shown).toMatch(new RegExp(`^local-${new URL(second).port} answered; 1 attempt`, "m"));
    process.signal("SIGTERM");
    expect((await process.ended).code).toBe(0);
  });

  test("adds simulated nodes where there is no model for a sample, and tells how to get one", async () => {
    const process = start(["--ollama", await ollamaWith("big:70b", "embed:30m")]);
    await process.serves();
    expect(process.stdout()).toMatch(/^No chat model under 4 GB at local-\d+: run `ollama pull llama3\.2:1b`/m);
    expect(process.stdout()).toMatch(/^simulated:1b < [\s\S]*^sim-\w+ answered; 1 attempt/m);
    process.signal("SIGTERM");
    expect((await process.ended).code).toBe(0);
  });

  test("ends with 1 and one sentence when none of them answers", async () => {
    const url = `http://127.0.0.1:${await closedPort()}`;
    expect(await start(["--ollama", url]).ended).toEqual({
      code: 1,
      stdout: "",
      stderr: `npm start: no Ollama answered at ${url} (connection refused); start it with \`ollama serve\`, or leave out --ollama to try simulated nodes\n`,
    });
  });
});

describe("npm start used wrongly", () => {
  test("wrong flags are one sentence each and exit code 2", async () => {
    expect(await start(["--olama", "http://x", "--listen", "nowhere"]).ended).toEqual({
      code: 2,
      stdout: "",
      stderr: [
        "npm start: --olama: there is no such flag; did you mean --ollama?\n",
        'npm start: --listen "nowhere": must be HOST:PORT, as 127.0.0.1:50051\n',
      ].join(""),
    });
  });

  test("a taken port is one sentence and exit code 2, whether a stranger or another npm start has it", async () => {
    const stranger = createServer();
    await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
    const { port } = stranger.address() as AddressInfo;
    const flags = ["--no-sample", "--listen", `127.0.0.1:${port}`];
    expect(await start(flags).ended).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^npm start: port \d+ is taken by another program; stop it, or .*\n$/),
    });
    await new Promise((resolve) => stranger.close(resolve));

    const [ollama, state] = [await ollamaWith("llama3.2:1b"), mkdtempSync(join(tmpdir(), "drover-state-"))];
    const options = { env: { XDG_STATE_HOME: state } };
    const first = start([...flags, "--ollama", ollama], options);
    await first.serves();
    expect(await start([...flags, "--ollama", ollama], options).ended).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/^npm start: another npm start runs on port \d+; stop it, or .*\n$/),
    });
    first.signalGroup("SIGINT");
    expect((await first.ended).code).toBe(0);
    // Every program stopped in order: none left its lock, all left their ids for the next time.
    const files = readdirSync(state, { recursive: true }).map((file) => basename(String(file)));
    expect(files.filter((file) => file === "lock")).toEqual([]);
    expect(files.filter((file) => file === "node-id")).toHaveLength(3);
    rmSync(state, { recursive: true });
  });
});
