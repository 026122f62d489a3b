/**
 * One entry of Consul's `/v1/health/service/:service`: what of it matters to a router. The list is read without `passing`, because
 * that hides why a node vanished; so checks are judged here. It knows nothing of other entries and of time.
 */
import { formatHostPort, parseHostPort } from "@drover/platform";
import { z } from "zod";
import { SERVING, type Standing } from "../membership.ts";

export interface ConsulInstance {
  /** `node/service id`: Consul's service ids are unique on one machine only. */
  readonly key: string;
  readonly endpoint: string;
  readonly nodeId: string | undefined;
  readonly nodeName: string | undefined;
  readonly baseWeight: number | undefined;
  readonly standing: Standing;
}

/** `unusable` is Consul's word but nothing to call; `malformed` is not Consul's word. */
export type ReadEntry =
  | { readonly kind: "instance"; readonly instance: ConsulInstance }
  | { readonly kind: "unusable"; readonly key: string; readonly reason: string }
  | { readonly kind: "malformed" };

const CHECK = z.object({
  CheckID: z.string(),
  Name: z.string().nullish(),
  Status: z.string(),
  Notes: z.string().nullish(),
  Output: z.string().nullish(),
});

const ENTRY = z.object({
  Node: z.object({ Node: z.string(), Address: z.string().nullish() }),
  Service: z.object({
    ID: z.string(),
    Address: z.string().nullish(),
    Port: z.number().nullish(),
    Meta: z.record(z.string(), z.string()).nullish(),
  }),
  Checks: z.array(CHECK).nullish(),
});

type Entry = z.infer<typeof ENTRY>;
type Check = z.infer<typeof CHECK>;

/** Names, notes and outputs are other people's text; they go into logs and details. */
const TEXT_LENGTH = 160;

/** `text` is the JSON of one entry. */
export function readEntry(text: string): ReadEntry {
  const parsed = ENTRY.safeParse(parseJson(text));
  if (!parsed.success) return { kind: "malformed" };
  const { Node, Service, Checks } = parsed.data;
  const key = `${Node.Node}/${Service.ID}`;
  const endpoint = endpointOf(parsed.data);
  if (endpoint === undefined) {
    const reason = `${Service.Address || Node.Address || "(no address)"}, port ${Service.Port ?? 0}, is nothing to connect to`;
    return { kind: "unusable", key: plain(key), reason: plain(reason) };
  }
  const meta = Service.Meta ?? {};
  const instance = {
    key,
    endpoint,
    nodeId: textOf(meta["id"]),
    nodeName: textOf(meta["name"]),
    baseWeight: weightOf(meta["base_weight"]),
    standing: standingOf(Checks ?? []),
  };
  return { kind: "instance", instance };
}

function endpointOf({ Node, Service }: Entry): string | undefined {
  const host = Service.Address || Node.Address || "";
  const port = Service.Port ?? 0;
  if (!Number.isInteger(port) || port < 1) return undefined;
  const address = parseHostPort(formatHostPort({ host, port }));
  return address === undefined ? undefined : formatHostPort(address);
}

/** An operator's word first, then what the node's own checks say, then what only gossip says. */
function standingOf(checks: readonly Check[]): Standing {
  const critical = checks.filter((check) => check.Status === "critical");
  const maintenance = critical.find((check) => isMaintenance(check.CheckID));
  if (maintenance !== undefined) {
    return { kind: "draining", reason: `in maintenance in Consul${after(maintenance.Notes)}` };
  }
  const failing = critical.find((check) => check.CheckID !== "serfHealth");
  if (failing !== undefined) {
    const name = plain(failing.Name || failing.CheckID);
    return { kind: "down", reason: `its check "${name}" fails in Consul${after(failing.Output)}` };
  }
  // The machine's Consul agent is not heard: that may be a restart of Consul alone, and its other checks still say "passing".
  if (critical.length > 0) return { kind: "suspect", reason: "Consul does not hear the Consul agent of its machine" };
  return SERVING;
}

/** As Consul names them: agent/structs/structs.go, NodeMaint and ServiceMaintPrefix. */
function isMaintenance(checkId: string): boolean {
  return checkId === "_node_maintenance" || checkId.startsWith("_service_maintenance:");
}

function after(text: string | null | undefined): string {
  const line = plain(text ?? "");
  return line === "" ? "" : `: ${line}`;
}

function plain(text: string): string {
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, " ").trim();
  return line.length > TEXT_LENGTH ? `${line.slice(0, TEXT_LENGTH - 1)}…` : line;
}

function textOf(value: string | undefined): string | undefined {
  const line = plain(value ?? "");
  return line === "" ? undefined : line;
}

function weightOf(value: string | undefined): number | undefined {
  const weight = /^\d{1,5}$/.test(value ?? "") ? Number(value) : 0;
  return weight >= 1 && weight <= 65_535 ? weight : undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
