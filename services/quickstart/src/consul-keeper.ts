/**
 * A process between `npm start` and its Consul: Consul knows no parent, so a `kill -9` of `npm start` would leave it behind. The IPC
 * channel closes however that came, and then Consul is ended here.
 */
import { spawn } from "node:child_process";

/** As shells say of a program that is not there. */
export const CONSUL_NOT_FOUND = 127;
const CANNOT_START = 126;

if (import.meta.main) keepConsul(process.argv.slice(2));

function keepConsul(flags: readonly string[]): void {
  const consul = spawn("consul", flags, { stdio: "ignore" });
  consul.once("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "ENOENT" ? CONSUL_NOT_FOUND : CANNOT_START);
  });
  consul.once("exit", (code) => process.exit(code ?? 1));
  // It keeps nothing that an orderly end would save.
  process.once("disconnect", () => consul.kill("SIGKILL"));
}
