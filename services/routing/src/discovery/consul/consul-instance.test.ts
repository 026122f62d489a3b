import { describe, expect, it } from "vitest";
import { readEntry } from "./consul-instance.ts";

interface Shape {
  readonly service?: object;
  readonly node?: object;
  readonly checks?: readonly object[] | null;
}

function read({ service = {}, node = {}, checks = [] }: Shape) {
  return readEntry(
    JSON.stringify({
      Node: { Node: "m1", Address: "10.0.0.1", ...node },
      Service: { ID: "a", Service: "drover-agent", Address: "10.0.0.9", Port: 50052, Meta: {}, ...service },
      Checks: checks,
    }),
  );
}

function instanceOf(shape: Shape) {
  const entry = read(shape);
  return entry.kind === "instance" ? entry.instance : expect.unreachable(entry.kind);
}

const serf = (Status: string) => ({ CheckID: "serfHealth", Name: "Serf Health Status", Status, Output: "" });
const check = (Status: string, rest: object = {}) => ({
  CheckID: "ttl",
  Name: "alive",
  Status,
  Output: "TTL expired",
  ...rest,
});

describe("an entry of Consul", () => {
  it("tells address, id, name and weight", () => {
    const Meta = { id: "n1", name: "gpu-1", base_weight: "300" };
    expect(instanceOf({ service: { Meta } })).toEqual({
      key: "m1/a",
      endpoint: "10.0.0.9:50052",
      nodeId: "n1",
      nodeName: "gpu-1",
      baseWeight: 300,
      standing: { kind: "serving" },
    });
  });

  it("stands at its machine's address when it has none of its own", () => {
    expect(instanceOf({ service: { Address: "" } }).endpoint).toBe("10.0.0.1:50052");
    expect(instanceOf({ service: { Address: "fe80::1" } }).endpoint).toBe("[fe80::1]:50052");
  });

  it.each(["0", "65536", "-1", "1e3", "heavy", ""])("has no weight of its own where %o is told", (base_weight) => {
    expect(instanceOf({ service: { Meta: { base_weight } } }).baseWeight).toBeUndefined();
  });

  it.each([{ Port: 0 }, { Port: null }, { Address: "", Port: 50052 }, { Address: "a b" }, { Port: 70_000 }])(
    "cannot be called at %o",
    (service) => {
      expect(read({ service, node: { Address: "" } })).toMatchObject({ kind: "unusable", key: "m1/a" });
    },
  );

  it.each(["{}", "[]", "nonsense", '{"Node":{},"Service":{}}', '{"Node":{"Node":"m"},"Service":{"ID":1}}'])(
    "is not one of Consul when it is %s",
    (text) => {
      expect(readEntry(text)).toEqual({ kind: "malformed" });
    },
  );

  it("serves without any check, and while checks only warn", () => {
    expect(instanceOf({ checks: null }).standing.kind).toBe("serving");
    expect(instanceOf({ checks: [serf("passing"), check("warning")] }).standing.kind).toBe("serving");
  });

  it("drains in maintenance of the service or the machine, whatever else fails", () => {
    const service = { CheckID: "_service_maintenance:a", Name: "m", Status: "critical", Notes: "new\ndriver" };
    expect(instanceOf({ checks: [check("critical"), serf("critical"), service] }).standing).toEqual({
      kind: "draining",
      reason: "in maintenance in Consul: new driver",
    });
    const node = { CheckID: "_node_maintenance", Name: "m", Status: "critical", Notes: "" };
    expect(instanceOf({ checks: [node] }).standing).toEqual({ kind: "draining", reason: "in maintenance in Consul" });
  });

  it("is down when a check of its own fails, and says which", () => {
    expect(instanceOf({ checks: [serf("critical"), check("critical")] }).standing).toEqual({
      kind: "down",
      reason: 'its check "alive" fails in Consul: TTL expired',
    });
    const long = instanceOf({ checks: [check("critical", { Output: "x".repeat(4_096) })] }).standing;
    expect(long.kind === "down" && long.reason.length).toBeLessThan(250);
  });

  it("is only suspect when nothing but gossip misses its machine", () => {
    expect(instanceOf({ checks: [serf("critical"), check("passing")] }).standing.kind).toBe("suspect");
  });
});
