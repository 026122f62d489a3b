import { beforeEach, describe, expect, test } from "vitest";
import type { Logger } from "../log.ts";
import { seededRng } from "../rng.ts";
import { SimClock } from "../sim-clock.ts";
import type { Aliveness, ConsulAgent, Maintenance } from "./consul-agent.ts";
import { Registrar, STOPPING_REASON } from "./registrar.ts";
import { grpcCheckId, type ServiceDefinition } from "./service-definition.ts";

const DEFINITION: ServiceDefinition = {
  name: "drover-agent",
  id: "drover-agent-1",
  address: "10.0.0.1",
  port: 50_052,
  meta: { base_weight: "100" },
  grpcCheck: "127.0.0.1:50060",
};

/** A Consul agent in memory; what it cannot show, the real one does in e2e/real. */
class FakeConsul implements ConsulAgent {
  service: ServiceDefinition | undefined;
  maintenance: Maintenance | undefined;
  alive: Aliveness | undefined;
  isAway = false;
  isDestroyed = false;
  /** Forgets the service that many times right after it was registered. */
  forgets = 0;
  readonly log: string[] = [];

  async register(service: ServiceDefinition): Promise<void> {
    this.#answer("register");
    this.service = service;
    if (this.forgets-- > 0) this.forget();
  }

  async deregister(): Promise<void> {
    this.#answer("deregister");
    this.forget();
  }

  async setAlive(_id: string, alive: Aliveness): Promise<boolean> {
    this.#answer(alive.isPassing ? "pass" : "fail");
    this.alive = alive;
    return this.service !== undefined;
  }

  async setMaintenance(_id: string, reason: string | undefined): Promise<void> {
    this.#answer(reason === undefined ? "maintenance off" : `maintenance ${reason}`);
    this.maintenance = reason === undefined ? undefined : { scope: "service", reason };
  }

  async removeCheck(checkId: string): Promise<void> {
    this.#answer(`remove ${checkId}`);
    if (this.service !== undefined) this.service = { ...this.service, grpcCheck: undefined };
  }

  async read(id: string): ReturnType<ConsulAgent["read"]> {
    if (this.isAway) throw new Error("connect ECONNREFUSED");
    return {
      isRegistered: this.service !== undefined,
      address: this.service?.address ?? "",
      port: this.service?.port ?? 0,
      meta: this.service?.meta ?? {},
      checkIds: this.service?.grpcCheck === undefined ? [] : [grpcCheckId(id)],
      maintenance: this.maintenance,
    };
  }

  destroy(): void {
    this.isDestroyed = true;
  }

  forget(): void {
    this.service = undefined;
    this.maintenance = undefined;
    this.alive = undefined;
  }

  #answer(request: string): void {
    if (this.isAway) throw new Error("connect ECONNREFUSED");
    this.log.push(request);
  }
}

describe("a registration in Consul", () => {
  let clock: SimClock;
  let consul: FakeConsul;
  let definition: ServiceDefinition;
  let alive: Aliveness;
  let drainReason: string | undefined;
  let warnings: string[];
  let registrar: Registrar;

  beforeEach(() => {
    clock = new SimClock();
    consul = new FakeConsul();
    definition = DEFINITION;
    alive = { isPassing: true, note: "Ollama answers" };
    drainReason = undefined;
    warnings = [];
    const keep = (_facts: object, words: string): void => void warnings.push(words);
    registrar = new Registrar({
      consul,
      clock,
      rng: seededRng(1),
      log: { info: () => undefined, warn: keep, error: keep, debug: () => undefined } as unknown as Logger,
      wanted: () => ({ definition, alive, drainReason }),
      onMaintenance: (reason) => {
        drainReason = reason;
      },
    });
  });

  test("stands at once, and is kept alive every three seconds", async () => {
    registrar.start();
    await clock.advanceAsync(9_000);
    expect(consul.log).toEqual(["register", "pass", "pass", "pass", "pass"]);
    await registrar.stop();
    expect([consul.log.at(-1), consul.isDestroyed, clock.pendingCount]).toEqual(["deregister", true, 0]);
  });

  test("says at once that Ollama is away", async () => {
    registrar.start();
    await clock.advanceAsync(100);
    alive = { isPassing: false, note: "Ollama does not answer" };
    registrar.changed();
    await clock.advanceAsync(0);
    expect(consul.alive).toEqual(alive);
    await registrar.stop();
  });

  test("a change of what is published is registered again, and nothing else is", async () => {
    registrar.start();
    await clock.advanceAsync(6_000);
    definition = { ...DEFINITION, meta: { base_weight: "7" } };
    registrar.changed();
    await clock.advanceAsync(6_000);
    expect(consul.log.filter((entry) => entry === "register")).toHaveLength(2);
    expect(consul.service?.meta).toEqual({ base_weight: "7" });
    await registrar.stop();
  });

  test("comes back with its maintenance before it looks alive, when Consul has forgotten it", async () => {
    drainReason = "new driver";
    registrar.start();
    await clock.advanceAsync(100);
    consul.forget();
    consul.log.length = 0;
    await clock.advanceAsync(3_000);
    expect(consul.log).toEqual(["register", "maintenance new driver", "pass"]);
    expect(drainReason).toBe("new driver");
    await registrar.stop();
  });

  test("survives a Consul that forgets between two of its answers", async () => {
    consul.forgets = 1;
    registrar.start();
    await clock.advanceAsync(0);
    expect(consul.log).toEqual(["register", "pass", "register", "pass"]);
    expect(warnings).toEqual([]);
    await registrar.stop();
  });

  test("does not spin on a Consul that forgets it every time", async () => {
    consul.forgets = Number.POSITIVE_INFINITY;
    registrar.start();
    await clock.advanceAsync(60_000);
    expect(consul.log.filter((entry) => entry === "register").length).toBeLessThan(60);
    expect(warnings).toHaveLength(1);
    await registrar.stop();
  });

  test("waits for a Consul that is away, with pauses up to ten seconds, and says so once", async () => {
    consul.isAway = true;
    registrar.start();
    await clock.advanceAsync(600_000);
    expect(warnings).toHaveLength(1);
    consul.isAway = false;
    await clock.advanceAsync(10_000);
    expect(consul.service).toEqual(DEFINITION);
    await registrar.stop();
  });

  test("puts a drain into maintenance and takes it out again", async () => {
    registrar.start();
    await clock.advanceAsync(100);
    drainReason = "new driver";
    registrar.changed();
    await clock.advanceAsync(0);
    expect(consul.maintenance?.reason).toBe("new driver");
    drainReason = undefined;
    registrar.changed();
    await clock.advanceAsync(0);
    expect(consul.maintenance).toBeUndefined();
    await registrar.stop();
  });

  test("takes over maintenance that an operator switched on and off in Consul", async () => {
    registrar.start();
    await clock.advanceAsync(100);
    consul.maintenance = { scope: "service", reason: "by hand" };
    await clock.advanceAsync(3_000);
    expect(drainReason).toBe("by hand");
    consul.maintenance = undefined;
    await clock.advanceAsync(3_000);
    expect(drainReason).toBeUndefined();
    expect(consul.log.filter((entry) => entry.startsWith("maintenance"))).toEqual([]);
    await registrar.stop();
  });

  test("an operator may end a drain in Consul that began at Drover", async () => {
    drainReason = "new driver";
    registrar.start();
    await clock.advanceAsync(100);
    consul.maintenance = undefined;
    await clock.advanceAsync(3_000);
    expect([drainReason, consul.maintenance]).toEqual([undefined, undefined]);
    await registrar.stop();
  });

  test("a node that is resumed by name stays so while its machine is in maintenance", async () => {
    consul.maintenance = { scope: "machine", reason: "new disks" };
    registrar.start();
    await clock.advanceAsync(100);
    expect(drainReason).toBe("new disks");
    drainReason = undefined;
    registrar.changed();
    await clock.advanceAsync(9_000);
    expect(drainReason).toBeUndefined();
    expect(consul.log.filter((entry) => entry.startsWith("maintenance"))).toEqual([]);
    await registrar.stop();
  });

  test("ends the maintenance of an earlier run that was killed while it stopped", async () => {
    consul.service = DEFINITION;
    consul.maintenance = { scope: "service", reason: STOPPING_REASON };
    registrar.start();
    await clock.advanceAsync(100);
    expect([drainReason, consul.maintenance]).toEqual([undefined, undefined]);
    await registrar.stop();
  });

  test("keeps the maintenance that an operator set while the program was away", async () => {
    consul.service = DEFINITION;
    consul.maintenance = { scope: "service", reason: "by hand" };
    registrar.start();
    await clock.advanceAsync(100);
    expect([drainReason, consul.maintenance?.reason]).toEqual(["by hand", "by hand"]);
    await registrar.stop();
  });

  test("removes a check of an earlier run that is not wanted any more", async () => {
    consul.service = DEFINITION;
    definition = { ...DEFINITION, grpcCheck: undefined };
    registrar.start();
    await clock.advanceAsync(100);
    expect(consul.log).toEqual([`remove ${grpcCheckId(DEFINITION.id)}`, "register", "pass"]);
    await registrar.stop();
  });

  test("does not hold a stop for longer than two seconds when Consul does not answer", async () => {
    registrar.start();
    await clock.advanceAsync(100);
    consul.deregister = () => new Promise(() => undefined);
    let isStopped = false;
    void registrar.stop().then(() => {
      isStopped = true;
    });
    await clock.advanceAsync(1_900);
    expect(isStopped).toBe(false);
    await clock.advanceAsync(200);
    expect([isStopped, consul.isDestroyed, clock.pendingCount]).toEqual([true, true, 0]);
  });
});
