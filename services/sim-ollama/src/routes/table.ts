/** Which route answers which path and method. */
import type { Endpoint } from "../faults.ts";
import type { Route } from "../simulation.ts";
import { chat } from "./chat.ts";
import { embed, embeddings } from "./embed.ts";
import { generate } from "./generate.ts";
import { ps, root, show, tags, version } from "./inventory.ts";
import { clearFaults, clearRequests, crash, listFaults, listRequests, putFaults } from "./script.ts";

export interface RouteEntry {
  /** What faults call it; undefined for the simulator's own routes. */
  readonly endpoint: Endpoint | undefined;
  readonly methods: Readonly<Record<string, Route>>;
}

export const ROUTES: ReadonlyMap<string, RouteEntry> = new Map<string, RouteEntry>([
  ["/", { endpoint: "root", methods: { GET: root, HEAD: root } }],
  ["/api/version", { endpoint: "version", methods: { GET: version, HEAD: version } }],
  ["/api/tags", { endpoint: "tags", methods: { GET: tags, HEAD: tags } }],
  ["/api/ps", { endpoint: "ps", methods: { GET: ps } }],
  ["/api/show", { endpoint: "show", methods: { POST: show } }],
  ["/api/generate", { endpoint: "generate", methods: { POST: generate } }],
  ["/api/chat", { endpoint: "chat", methods: { POST: chat } }],
  ["/api/embed", { endpoint: "embed", methods: { POST: embed } }],
  ["/api/embeddings", { endpoint: "embeddings", methods: { POST: embeddings } }],
  ["/sim/faults", { endpoint: undefined, methods: { GET: listFaults, PUT: putFaults, DELETE: clearFaults } }],
  ["/sim/crash", { endpoint: undefined, methods: { POST: crash } }],
  ["/sim/requests", { endpoint: undefined, methods: { GET: listRequests, DELETE: clearRequests } }],
]);
