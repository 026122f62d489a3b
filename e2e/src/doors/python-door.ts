/** The door of Python's C-core: one process for all its calls. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Answer, type Door, pathOf, reasonOfDetails } from "./door.ts";

const PROGRAM = fileURLToPath(new URL("python_door.py", import.meta.url));

export function pythonDoor(python: string): Door {
  const child = spawn(python, [PROGRAM], { stdio: ["pipe", "pipe", "inherit"] });
  const waiting: ((line: string) => void)[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => waiting.shift()?.(line));
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    name: "Python grpcio, gRPC binary, HTTP/2, by reflection",
    bothWays: "yes",
    canMalformDeadline: false,
    ask: async ({ address, method, request, take }) => {
      const call = { address, path: pathOf(method), kind: method.methodKind, request, take };
      const line = await new Promise<string>((resolve) => {
        waiting.push(resolve);
        child.stdin.write(`${JSON.stringify(call)}\n`);
      });
      const { status, ...answer } = JSON.parse(line) as Answer & { status: string };
      return { ...answer, reason: reasonOfDetails(Buffer.from(status, "base64")) };
    },
    close: () => {
      child.stdin.end();
      return ended;
    },
  };
}
