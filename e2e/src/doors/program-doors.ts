/** Doors that are programs which know gRPC themselves: grpcurl and buf. They print what they got as JSON. */
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { fromBinary } from "@bufbuild/protobuf";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { type Ask, type Door, pathOf, readJsonValues } from "./door.ts";

const CHECKOUT = fileURLToPath(new URL("../../../", import.meta.url));

export function grpcurlDoor(file: string): Door {
  return {
    name: "grpcurl, gRPC binary, HTTP/2, by reflection",
    bothWays: "yes",
    canMalformDeadline: false,
    ask: async (ask) => {
      const { address, method, request } = ask;
      const args = ["-plaintext", "-max-time", "20", "-d", JSON.stringify(request), address, pathOf(method)];
      const { stdout, stderr } = await printed(file, args, ask);
      const messages = readJsonValues(stdout);
      const code = /^ {2}Code: (\w+)$/m.exec(stderr)?.[1];
      const reason = /"reason": "(\w+)"/.exec(stderr)?.[1];
      const message = /^ {2}Message: (.*)$/m.exec(stderr)?.[1] ?? stderr;
      const isOk = code === undefined && (stderr === "" || ask.take !== undefined);
      return { messages, code: isOk ? "ok" : snakeCase(code ?? "unknown"), message, reason };
    },
  };
}

const BUF_PROTOCOLS = ["grpc", "grpcweb", "connect"] as const;

/**
 * Over HTTP/2 buf learns the schema by reflection, which streams both ways; over HTTP/1.1 it reads the contracts, and calls what streams
 * both ways over HTTP/2 all the same.
 */
export function bufDoors(): Door[] {
  return BUF_PROTOCOLS.flatMap((protocol) => [
    bufDoor(`buf curl, ${protocol}, HTTP/2, by reflection`, ["--protocol", protocol, "--http2-prior-knowledge"]),
    ...(protocol === "grpc"
      ? []
      : [bufDoor(`buf curl, ${protocol}, HTTP/1.1, by schema`, ["--protocol", protocol, "--schema", "."])]),
  ]);
}

function bufDoor(name: string, flags: readonly string[]): Door {
  return {
    name,
    bothWays: "yes",
    canMalformDeadline: false,
    ask: async (ask) => {
      const url = `http://${ask.address}/${pathOf(ask.method)}`;
      const args = ["curl", ...flags, "--data", JSON.stringify(ask.request), url];
      const { stdout, stderr } = await printed(bufProgram(), args, ask);
      const messages = readJsonValues(stdout);
      // Errors are JSON too, on the other output.
      // Who is killed says so.
      if (ask.take !== undefined) return { messages, code: "ok", message: "", reason: undefined };
      const [error] = readJsonValues(stderr) as unknown as readonly BufError[];
      if (error === undefined) {
        return { messages, code: stderr === "" ? "ok" : "unknown", message: stderr, reason: undefined };
      }
      const info = error.details?.find(({ type }) => type === ErrorInfoSchema.typeName)?.value;
      const reason = info && fromBinary(ErrorInfoSchema, Buffer.from(info, "base64")).reason;
      return { messages, code: error.code, message: error.message, reason };
    },
  };
}

interface BufError {
  readonly code: string;
  readonly message: string;
  readonly details?: readonly { readonly type: string; readonly value: string }[];
}

/** Not its launcher, which would leave the program behind when it is killed. */
function bufProgram(): string {
  const launcher = createRequire(import.meta.url).resolve("@bufbuild/buf/package.json");
  return createRequire(launcher).resolve(`@bufbuild/buf-${process.platform}-${process.arch}/bin/buf`);
}

/** Runs it to its end, or until it has printed as many messages as the caller takes. */
function printed(file: string, args: readonly string[], { take }: Ask): Promise<{ stdout: string; stderr: string }> {
  const child = spawn(file, args, { cwd: CHECKOUT, stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (part: Buffer) => {
    stdout += part.toString();
    if (take !== undefined && readJsonValues(stdout).length >= take) child.kill();
  });
  child.stderr.on("data", (part: Buffer) => {
    stderr += part.toString();
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve({ stdout, stderr }));
  });
}

function snakeCase(code: string): string {
  return code.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
}
