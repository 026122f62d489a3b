/**
 * A router with its nodes as processes, for benchmarks that break nodes: where each listens stays the same when it is started
 * again, as with a service that systemd restarts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { type Program, startProgram } from "../processes.ts";

const READY_LIMIT_MS = 60_000;

export class Fleet {
  readonly #stateDir = mkdtempSync(join(tmpdir(), "drover-bench-"));
  readonly #programs: Program[] = [];

  /** `flags` as on the command line. */
  async startOllama(flags: readonly string[], listen = "127.0.0.1:0"): Promise<Program> {
    return this.#start("sim-ollama", ["--listen", listen, ...flags]);
  }

  /** An agent keeps its identity in its state directory, so that it is the same node when it is started again. */
  async startAgent(name: string, ollama: string, slots: number, listen = "127.0.0.1:0"): Promise<Program> {
    const flags = ["--name", name, "--ollama", `http://${ollama}`, "--slots", String(slots)];
    return this.#start("agent", [...this.#ownFlags(name, listen), ...flags]);
  }

  /** Resolves when every node takes calls. */
  async startRouter(nodes: readonly string[]): Promise<Program> {
    const router = await this.#start("router", [
      ...this.#ownFlags("router", "127.0.0.1:0"),
      "--nodes",
      nodes.join(","),
    ]);
    const client = createClient(RouterService, createGrpcTransport({ baseUrl: `http://${router.address}` }));
    const endMs = performance.now() + READY_LIMIT_MS;
    for (;;) {
      const { nodes: known } = await client.listNodes({});
      if (known.filter((node) => node.availability === NodeAvailability.AVAILABLE).length === nodes.length)
        return router;
      if (performance.now() > endMs) throw new Error("the nodes did not get ready");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  stop(): void {
    for (const program of this.#programs.splice(0).reverse()) program.stop();
    rmSync(this.#stateDir, { recursive: true, force: true });
  }

  #ownFlags(name: string, listen: string): string[] {
    const stateDir = join(this.#stateDir, name);
    return ["--listen", listen, "--ops-listen", "127.0.0.1:0", "--log-level", "error", "--state-dir", stateDir];
  }

  async #start(program: string, flags: readonly string[]): Promise<Program> {
    const launcher = new URL(`../../../services/${program}/bin/drover-${program}.js`, import.meta.url);
    const started = await startProgram(launcher, flags);
    this.#programs.push(started);
    return started;
  }
}
