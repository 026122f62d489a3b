/**
 * A real Fleet whose Attach links are played by the test: nodes are discovered, attach, tell their status and get lost when
 * the test says so.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Clock, SimClock, silentLogger } from "@drover/platform";
import { StatusSchema, WelcomeSchema } from "@drover/proto/drover/agent/v1/agent_pb";
import {
  type ModelInventorySchema,
  type NodeConditionSchema,
  type NodeIdentitySchema,
  type NodeLoadSchema,
  RunnerState,
} from "@drover/proto/drover/fleet/v1/fleet_pb";
import { Fleet } from "../fleet/fleet.ts";
import type { LinkEvent } from "../fleet/link-state.ts";
import { MODEL } from "./node-views.ts";

export interface FakeNode {
  /** Default: the endpoint with "id-" before it. */
  readonly id?: string;
  /** Default: the endpoint. */
  readonly name?: string;
  readonly incarnation?: string;
  readonly identity?: MessageInitShape<typeof NodeIdentitySchema>;
  readonly condition?: MessageInitShape<typeof NodeConditionSchema>;
  readonly inventory?: MessageInitShape<typeof ModelInventorySchema>;
  readonly load?: MessageInitShape<typeof NodeLoadSchema>;
}

export class FakeFleet {
  readonly clock: Clock;
  readonly fleet: Fleet;
  readonly #links = new Map<string, (event: LinkEvent) => void>();
  #streams = 0;
  /** Links that are open now. */
  openLinks = 0;

  constructor(clock: Clock = new SimClock(), sources: readonly string[] = ["static"]) {
    this.clock = clock;
    this.fleet = new Fleet({
      clock,
      log: silentLogger,
      sources,
      openLink: (endpoint, report) => {
        this.openLinks++;
        this.#links.set(endpoint, report);
        return { close: () => this.openLinks-- };
      },
    });
  }

  /** All endpoints of the source "static". */
  discover(...endpoints: readonly string[]): void {
    this.fleet.apply("static", { kind: "reset", members: endpoints.map((endpoint) => ({ endpoint })) });
  }

  report(endpoint: string, event: LinkEvent): void {
    const report = this.#links.get(endpoint);
    if (report === undefined) throw new Error(`no link was ever opened to ${endpoint}`);
    report(event);
  }

  /** Begins a stream, without a status yet. */
  welcome(endpoint: string, node: FakeNode = {}): void {
    const welcome = create(WelcomeSchema, {
      node: {
        id: node.id ?? `id-${endpoint}`,
        name: node.name ?? endpoint,
        incarnation: node.incarnation ?? `incarnation-${endpoint}`,
        baseWeight: 100,
        ...node.identity,
      },
      routerSecret: `secret-${++this.#streams}`,
    });
    this.report(endpoint, { kind: "welcomed", welcome, atMs: this.clock.nowMs() });
  }

  status(endpoint: string, status: MessageInitShape<typeof StatusSchema>): void {
    this.report(endpoint, { kind: "status", status: create(StatusSchema, status), atMs: this.clock.nowMs() });
  }

  /** Begins a stream and tells all: an idle node with MODEL loaded, unless `node` says otherwise. */
  attach(endpoint: string, node: FakeNode = {}): void {
    this.welcome(endpoint, node);
    this.status(endpoint, {
      condition: { isOllamaReachable: true, ...node.condition },
      inventory: { models: [{ name: MODEL, capabilities: ["completion"] }], isComplete: true, ...node.inventory },
      load: {
        runners: [{ model: MODEL, state: RunnerState.LOADED, slots: 1 }],
        slotsPerRunner: 1,
        queueLimit: 100,
        ...node.load,
      },
    });
  }

  lose(endpoint: string, reason = "the connection to its agent was lost"): void {
    this.report(endpoint, { kind: "lost", reason, atMs: this.clock.nowMs() });
  }
}
