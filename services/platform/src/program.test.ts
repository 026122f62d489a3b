import { EventEmitter } from "node:events";
import { describe, expect, it } from "vitest";
import { ConfigError } from "./config-error.ts";
import type { Lifecycle } from "./lifecycle.ts";
import { createLogger, silentLogger } from "./log.ts";
import { type ProgramHost, type ReadyFacts, runProgram } from "./program.ts";
import { SimClock } from "./sim-clock.ts";

class TestHost extends EventEmitter implements ProgramHost {
  readonly exits: number[] = [];
  readonly sent: object[] = [];
  written = "";
  readonly stderr = {
    write: (text: string): void => {
      this.written += text;
    },
  };
  send = (message: object): void => void this.sent.push(message);
  exit(code: number): void {
    this.exits.push(code);
  }
}

async function run(
  main: (lifecycle: Lifecycle) => Promise<ReadyFacts | undefined>,
): Promise<{ host: TestHost; clock: SimClock }> {
  const host = new TestHost();
  const clock = new SimClock();
  const quietly = (lifecycle: Lifecycle): Promise<ReadyFacts | undefined> => {
    lifecycle.useLog(silentLogger);
    return main(lifecycle);
  };
  await runProgram({ name: "drover-test", main: quietly, clock, host });
  await clock.advanceAsync(0);
  return { host, clock };
}

describe("runProgram", () => {
  it("tells its parent when it serves and keeps running", async () => {
    const { host } = await run(async () => ({ address: "127.0.0.1:1" }));
    expect(host.sent).toEqual([{ type: "ready", address: "127.0.0.1:1" }]);
    expect(host.exits).toEqual([]);
  });

  it.each(["SIGTERM", "SIGINT", "SIGHUP", "disconnect"])("stops in order on %s and ends with 0", async (event) => {
    const stopped: string[] = [];
    const { host, clock } = await run(async (lifecycle) => {
      lifecycle.onStop("part", () => void stopped.push("part"));
      return {};
    });
    host.emit(event);
    await clock.advanceAsync(0);
    expect(stopped).toEqual(["part"]);
    expect(host.exits).toEqual([0]);
  });

  it("ends at once on a second signal", async () => {
    const { host, clock } = await run(async (lifecycle) => {
      lifecycle.onStop("hangs", () => new Promise(() => undefined));
      return {};
    });
    host.emit("SIGINT");
    await clock.advanceAsync(0);
    expect(host.exits).toEqual([]);
    host.emit("SIGTERM");
    expect(host.exits).toEqual([1]);
  });

  it("does not take the signal that reaches its parent as well for a second one, when the parent's goodbye comes first", async () => {
    const { host, clock } = await run(async (lifecycle) => {
      lifecycle.onStop("hangs", () => new Promise(() => undefined));
      return {};
    });
    host.emit("disconnect");
    host.emit("SIGINT");
    await clock.advanceAsync(0);
    expect(host.exits).toEqual([]);
    host.emit("SIGINT");
    expect(host.exits).toEqual([1]);
  });

  it("prints one sentence per wrong key, stops what had started, and ends with 2", async () => {
    const stopped: string[] = [];
    const { host } = await run(async (lifecycle) => {
      lifecycle.onStop("part", () => void stopped.push("part"));
      throw new ConfigError(["--listen x: not an address.", "--nodes y: not one either."]);
    });
    expect(host.written).toBe("drover-test: --listen x: not an address.\ndrover-test: --nodes y: not one either.\n");
    expect(host.exits).toEqual([2]);
    expect(stopped).toEqual(["part"]);
    expect(host.sent).toEqual([]);
  });

  it("logs a fault and ends with 1, at the start and later", async () => {
    const lines: string[] = [];
    const log = createLogger({ name: "t", destination: { write: (line) => lines.push(line) } });
    const { host } = await run(async (lifecycle) => {
      lifecycle.useLog(log);
      throw new TypeError("no such thing");
    });
    expect(host.exits).toEqual([1]);
    const later = await run(async (lifecycle) => {
      lifecycle.useLog(log);
      return {};
    });
    later.host.emit("uncaughtException", new Error("later"));
    expect(later.host.exits).toEqual([1]);
    expect(lines).toHaveLength(2);
  });

  it("ends with 0 when main had nothing to serve, as after --help", async () => {
    const { host } = await run(async () => undefined);
    expect(host.exits).toEqual([0]);
    expect(host.sent).toEqual([]);
  });

  it("is not ready any more when the signal came while it started", async () => {
    const host = new TestHost();
    const clock = new SimClock();
    let started = (): void => undefined;
    const main = (): Promise<ReadyFacts> =>
      new Promise((resolve) => {
        started = () => resolve({});
      });
    const running = runProgram({ name: "t", main, clock, host });
    host.emit("SIGTERM");
    started();
    await running;
    await clock.advanceAsync(0);
    expect(host.sent).toEqual([]);
    expect(host.exits).toEqual([0]);
  });
});
