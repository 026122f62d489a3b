/**
 * The baseline: from a bare TCP caller's disconnect until this process sees it, behind two processes that do nothing but relay,
 * one in the router's place and one in the agent's. What it takes is the machine's, and on a busy machine its p99 is the one that
 * says what a caller's p99 is worth.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type Program, startProgram } from "../processes.ts";

export class BareChain {
  readonly #programs: readonly Program[];
  readonly #server: Server;
  readonly #port: number;
  #onSocket: (socket: Socket) => void = () => undefined;

  private constructor(server: Server, programs: readonly Program[]) {
    this.#server = server;
    this.#programs = programs;
    this.#port = portOf(programs.at(-1)?.address ?? "");
    server.on("connection", (socket) => this.#onSocket(socket));
  }

  static async start(): Promise<BareChain> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = new URL("./bare-hop.ts", import.meta.url);
    const agent = await startProgram(url, [String((server.address() as AddressInfo).port)]);
    const router = await startProgram(url, [String(portOf(agent.address))]);
    return new BareChain(server, [agent, router]);
  }

  /** One disconnect, in ms. */
  async measure(): Promise<number> {
    const arrived = new Promise<Socket>((resolve) => {
      this.#onSocket = resolve;
    });
    const caller = connect(this.#port, "127.0.0.1");
    caller.write("x");
    const socket = await arrived;
    await new Promise((resolve) => socket.once("data", resolve));
    const closed = new Promise<number>((resolve) => socket.once("close", () => resolve(performance.now())));
    const leftAtMs = performance.now();
    caller.destroy();
    return (await closed) - leftAtMs;
  }

  stop(): void {
    for (const program of this.#programs) program.stop();
    this.#server.close();
  }
}

function portOf(address: string): number {
  return Number(address.split(":").at(-1));
}
