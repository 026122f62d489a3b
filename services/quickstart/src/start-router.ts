/** Starts the router on the nodes' endpoints and says what it makes of them. */
import { join } from "node:path";
import { ConfigError, formatHostPort, sleep } from "@drover/platform";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import type { ChildFacts } from "./child-program.ts";
import type { StartConfig } from "./config.ts";
import { openClient } from "./open-client.ts";
import { chooseSampleModel, isSettled, type SampleModel } from "./sample-model.ts";
import { StartError } from "./start-error.ts";
import type { NodeSurroundings } from "./start-node.ts";

/** Resolves when it serves. Rejects with a ConfigError when its flags are wrong, as with a port that is taken. */
export async function startRouter(
  { listen, corsOrigins }: StartConfig,
  endpoints: readonly string[],
  { programs, home, consulUrl }: NodeSurroundings,
): Promise<ChildFacts> {
  const fleet = consulUrl === undefined ? ["--nodes", endpoints.join(",")] : ["--consul", consulUrl];
  const router = programs.start({
    kind: "router",
    flags: [
      ...["--listen", formatHostPort(listen), "--ops-listen", "127.0.0.1:0"],
      ...[...fleet, "--state-dir", join(home, "router")],
      ...corsOrigins.flatMap((origin) => ["--cors-origin", origin]),
    ],
  });
  const start = await router.started;
  if (start.kind === "ready") return start;
  await programs.isStopping();
  if (start.code === 2) throw new ConfigError(start.why.replace(/^drover-router: /gm, "").split("\n"));
  throw new StartError(`the router did not start: ${start.why}`);
}

/** How long nodes may take to attach to the router. */
const ATTACH_LIMIT_MS = 5_000;
const INTERVAL_MS = 50;

/**
 * The model for the sample prompt as the router sees its fleet, once `nodeCount` nodes have told it theirs; at the latest after
 * 5 s. Undefined when no node has one.
 */
export async function findSampleModel(
  address: string,
  nodeCount: number,
  { clock, signal }: NodeSurroundings,
): Promise<SampleModel | undefined> {
  using router = openClient(RouterService, address);
  const endMs = clock.nowMs() + ATTACH_LIMIT_MS;
  for (;;) {
    const answer = await router.client.listNodes({}, { signal, timeoutMs: ATTACH_LIMIT_MS }).catch(() => undefined);
    const nodes = answer?.nodes ?? [];
    const settled = nodes.filter(isSettled);
    const model = chooseSampleModel(nodes);
    const isEnough = model === undefined ? settled.length === nodes.length : settled.length >= nodeCount;
    if ((isEnough && nodes.length > 0) || clock.nowMs() >= endMs || signal.aborted) return model;
    await sleep(clock, INTERVAL_MS, signal);
  }
}
