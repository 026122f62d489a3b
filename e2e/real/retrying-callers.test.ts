/**
 * Callers whose gRPC library retries by itself, grpc-js and Python's C-core: they try again what ended before its first message,
 * because that is true Trailers-Only, and never what had a message.
 */
import { fileURLToPath } from "node:url";
import { Client, credentials, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { breakBy } from "../src/agent-front.ts";
import { chatBytes } from "../src/ended-call.ts";
import { type EndingFleet, MODEL, startEndingFleet } from "../src/ending-fleet.ts";
import { describeWith } from "../src/real-programs.ts";
import { runProgram } from "../src/run-program.ts";

const ATTEMPTS = 3;
const SERVICE_CONFIG = JSON.stringify({
  methodConfig: [
    {
      name: [{ service: "drover.inference.v1.InferenceService" }],
      retryPolicy: {
        maxAttempts: ATTEMPTS,
        initialBackoff: "0.05s",
        maxBackoff: "0.1s",
        backoffMultiplier: 1,
        retryableStatusCodes: ["UNAVAILABLE"],
      },
    },
  ],
});
const PYTHON_CALLER = fileURLToPath(new URL("retrying_caller.py", import.meta.url));

interface Outcome {
  readonly code: number;
  readonly messages: number;
}

function withGrpcJs(address: string): Promise<Outcome> {
  const client = new Client(address, credentials.createInsecure(), { "grpc.service_config": SERVICE_CONFIG });
  const metadata = new Metadata();
  metadata.set("drover-node", "a");
  metadata.set("drover-progress", "off");
  const path = "/drover.inference.v1.InferenceService/Chat";
  const same = (bytes: Buffer): Buffer => bytes;
  const call = client.makeServerStreamRequest(path, same, same, Buffer.from(chatBytes({ model: MODEL })), metadata);
  let messages = 0;
  call.on("data", () => messages++);
  call.on("error", () => undefined);
  return new Promise((resolve) => {
    call.on("status", ({ code }: StatusObject) => {
      client.close();
      resolve({ code, messages });
    });
  });
}

describeWith(["python"], "a caller with a retry policy", ({ python }) => {
  let fleet: EndingFleet;
  beforeAll(async () => {
    fleet = await startEndingFleet();
  });
  afterEach(() => fleet.heal());
  afterAll(() => fleet?.close());

  async function withPython(address: string): Promise<Outcome> {
    const body = Buffer.from(chatBytes({ model: MODEL })).toString("hex");
    const { stdout, stderr } = await runProgram(python, [PYTHON_CALLER, address, SERVICE_CONFIG, body]);
    expect(stderr).toBe("");
    return JSON.parse(stdout) as Outcome;
  }

  const callers = [
    ["grpc-js", withGrpcJs],
    ["Python's C-core", withPython],
  ] as const;

  // The call names its node, so that the router makes one attempt for each call that comes.
  it.each(callers)("of %s tries again what had no message", async (_, call) => {
    fleet.breakCalls(breakBy.otherProgram);
    const before = fleet.nodes[0].front.calls;
    expect(await call(fleet.router.address)).toEqual({ code: status.UNAVAILABLE, messages: 0 });
    expect(fleet.nodes[0].front.calls - before).toBe(ATTEMPTS);
  });

  it.each(callers)("of %s never tries again what had one", async (_, call) => {
    fleet.setFaults([{ kind: "stream-error", afterChunks: 3, message: "strange", endpoint: "chat" }]);
    const before = fleet.nodes[0].front.calls;
    expect(await call(fleet.router.address)).toEqual({ code: status.UNAVAILABLE, messages: 3 });
    expect(fleet.nodes[0].front.calls - before).toBe(1);
  });
});
