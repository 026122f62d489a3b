/**
 * The place of one `npm start` on this machine: its port and the directory below which its programs keep their state. Holding it
 * makes a second `npm start` on the same port end with one sentence instead of a clash of its parts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  bindSocket,
  ConfigError,
  defaultStateDir,
  formatHostPort,
  type HostPort,
  type Lifecycle,
  openStateDir,
  silentLogger,
} from "@drover/platform";

/**
 * Holds `${XDG_STATE_HOME:-~/.local/state}/drover/start-PORT` until the program stops and resolves with its path. With port 0
 * nothing is kept: the directory is a temporary one. Rejects with a ConfigError when the place is taken.
 */
export async function holdHome(listen: HostPort, env: NodeJS.ProcessEnv, lifecycle: Lifecycle): Promise<string> {
  if (listen.port === 0) {
    const dir = mkdtempSync(join(tmpdir(), "drover-start-"));
    lifecycle.onStop("temporary state", () => rmSync(dir, { recursive: true, force: true }));
    return dir;
  }
  const dir = defaultStateDir("start", listen.port, env);
  const held = hold(dir, listen.port);
  lifecycle.onStop("state", () => held.release());
  await checkPort(listen);
  return dir;
}

function hold(dir: string, port: number): ReturnType<typeof openStateDir> {
  try {
    return openStateDir({ dir, log: silentLogger });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    // A lock has no cause; what the file system refused has.
    if (error.cause === undefined) {
      throw new ConfigError(
        `another npm start runs on port ${port}; stop it, or choose another port: ${otherPort(port)}`,
      );
    }
    throw new ConfigError(`the directory ${dir} cannot be used; set XDG_STATE_HOME to one that you may write to.`);
  }
}

/** The router opens its port last; whoever starts it wants to know at once that it will not get it. */
async function checkPort(listen: HostPort): Promise<void> {
  const server = createServer();
  try {
    await bindSocket(server, { listen: formatHostPort(listen), isInsecureAllowed: false, flag: "--listen" });
  } catch (error) {
    if (isTaken(error)) {
      throw new ConfigError(
        `port ${listen.port} is taken by another program; stop it, or choose another port: ${otherPort(listen.port)}`,
      );
    }
    throw error;
  }
  await new Promise((resolve) => server.close(resolve));
}

function isTaken(error: unknown): boolean {
  return error instanceof ConfigError && (error.cause as NodeJS.ErrnoException | undefined)?.code === "EADDRINUSE";
}

function otherPort(port: number): string {
  return `npm start -- --listen 127.0.0.1:${port >= 65_525 ? port - 10 : port + 10}`;
}
