/** Every program of clients/examples as people run it: against a fleet, with a model that nobody has, and where no router is. */
import { fileURLToPath } from "node:url";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { freePort } from "../src/free-port.ts";
import { createGrpcJsCaller } from "../src/grpc-js-caller.ts";
import { describeWith } from "../src/real-programs.ts";
import { type ProgramOutput, runProgram } from "../src/run-program.ts";

let ollama: SimOllama;
let agent: DroverProcess;
let router: DroverProcess;
let nobody: string;

beforeAll(async () => {
  const models = ["llama3.2:1b", "nomic-embed-text"];
  ollama = await createSimOllama({ models, slots: 4, speed: 2_000, loadSeconds: 0, answerTokens: 20 });
  agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "gpu-1", "--slots", "4"]);
  router = await startDrover("router", ["--nodes", agent.address]);
  nobody = `127.0.0.1:${await freePort()}`;
  const caller = createGrpcJsCaller(router.address);
  const isKnown = async (): Promise<boolean> =>
    (await caller.unary(RouterService.method.listModels, {})).models.length === models.length;
  await vi.waitUntil(isKnown, { timeout: 15_000 });
  caller.close();
});
afterAll(async () => {
  for (const program of [router, agent]) await program?.stop();
  await ollama?.close();
});

interface Example {
  readonly file: string;
  readonly prints: readonly (RegExp | string)[];
  /** What it says of a model that nobody has; undefined for those that take none. */
  readonly unknownModel?: readonly string[];
}

const NOT_FOUND = ["NOT_FOUND", "MODEL_NOT_FOUND", "nobody-has-this"];
const NODES_AND_MODELS = /llama3\.2:1b on gpu-1\nnomic-embed-text:latest on gpu-1\n/;
const COSINES = /^a sheep ~ a herd of sheep: -?[01]\.\d{3}\na sheep ~ a tax return: -?[01]\.\d{3}$/m;

const TYPESCRIPT: readonly Example[] = [
  {
    file: "typescript/chat.ts",
    prints: [/^\w.*\n\d+ tokens from gpu-1, the first after \d+/s],
    unknownModel: NOT_FOUND,
  },
  {
    file: "typescript/cancel.ts",
    prints: [/\nStopped after 5 pieces; the router is SERVING\.$/m],
    unknownModel: NOT_FOUND,
  },
  {
    file: "typescript/tools.ts",
    prints: [/^The model asks for get_weather with \{"city":".*"\}\.$/m, /\n\w/],
    unknownModel: NOT_FOUND,
  },
  { file: "typescript/structured.ts", prints: [/^.* has -?[\d.]+ legs\.$/m], unknownModel: NOT_FOUND },
  { file: "typescript/embed.ts", prints: [COSINES, "from gpu-1"], unknownModel: NOT_FOUND },
  {
    file: "typescript/fleet.ts",
    prints: [
      "gpu-1 is available with llama3.2:1b, nomic-embed-text:latest\n",
      "The next call for llama3.2:1b goes to gpu-1.",
      "Watching: snapshot",
    ],
    unknownModel: NOT_FOUND,
  },
];

const GRPC_JS: readonly Example[] = [
  { file: "grpc-js/chat.ts", prints: [/^\w.*\n\d+ tokens from gpu-1\n$/s], unknownModel: NOT_FOUND },
  {
    file: "grpc-js/fleet.ts",
    prints: [NODES_AND_MODELS, "The next call for llama3.2:1b goes to gpu-1."],
    unknownModel: NOT_FOUND,
  },
];

const CURL: readonly Example[] = [
  { file: "curl/health.sh", prints: ['{"status":"SERVING"}\n'] },
  { file: "curl/nodes.sh", prints: ['"name":"gpu-1"', '"availability":"NODE_AVAILABILITY_AVAILABLE"'] },
  { file: "curl/embed.sh", prints: ['"embeddings":[{"values":['], unknownModel: ["not_found", "nobody-has-this"] },
  {
    file: "curl/chat.sh",
    prints: [/^\{"chunk":\{.*\}\n(\{.*\}\n)*\{"done":\{.*\}\n\{"metadata":\{.*\}\n$/],
    unknownModel: ["not_found", "MODEL_NOT_FOUND", "nobody-has-this"],
  },
];

const PYTHON: readonly Example[] = [
  { file: "python/chat.py", prints: [/^\w.*\n\d+ tokens from gpu-1\n$/s], unknownModel: NOT_FOUND },
  { file: "python/embed.py", prints: [COSINES], unknownModel: NOT_FOUND },
];

const GRPCURL: readonly Example[] = [
  {
    file: "grpcurl/chat.sh",
    prints: [/^\{\n {2}"chunk": \{/, /"evalCount": \d+/],
    unknownModel: ["NotFound", "MODEL_NOT_FOUND", "nobody-has-this"],
  },
  {
    file: "grpcurl/fleet.sh",
    prints: [/^drover\.inference\.v1\.InferenceService$/m, '"name": "llama3.2:1b"', '"nodeName": "gpu-1"'],
    unknownModel: ["NotFound", "MODEL_NOT_FOUND", "nobody-has-this"],
  },
];

function everyExample(program: string, examples: readonly Example[]): void {
  const run = (file: string, ...args: string[]): Promise<ProgramOutput> =>
    runProgram(program, [fileURLToPath(new URL(`../../clients/examples/${file}`, import.meta.url)), ...args]);

  it.each(examples)("$file prints what it promises", async ({ file, prints }) => {
    const { code, stdout, stderr } = await run(file, router.address);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const text of prints) expect(stdout).toMatch(text);
  });

  it.each(examples.filter(({ unknownModel }) => unknownModel !== undefined))(
    "$file says that nobody has the model",
    async ({ file, unknownModel = [] }) => {
      const { stdout, stderr } = await run(file, router.address, "nobody-has-this");
      for (const word of unknownModel) expect(`${stdout}${stderr}`).toContain(word);
    },
  );

  it.each(examples)("$file says in one sentence that no router is there", async ({ file }) => {
    const { stdout, stderr } = await run(file, nobody);
    expect(stdout.trim()).toBe("");
    expect(stderr).toContain(`No router answers at ${nobody}. Start one with: npm start\n`);
    expect(stderr).not.toMatch(/^ {4}at |Traceback/m);
  });
}

describe("TypeScript", () => everyExample(process.execPath, TYPESCRIPT));
describe("grpc-js", () => everyExample(process.execPath, GRPC_JS));
describe("curl", () => everyExample("sh", CURL));
describeWith(["python"], "Python", ({ python }) => everyExample(python, PYTHON));
describeWith(["grpcurl"], "grpcurl", () => everyExample("sh", GRPCURL));
