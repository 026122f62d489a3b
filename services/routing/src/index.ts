/** What @drover/routing offers to a router, a client without a router, and the simulator. */

export { createFleetRoutes, type FleetRoutesOptions, type ServedFleet } from "./api/fleet-routes.ts";
export { type RefusedCall, refusalError, type TellRefused } from "./api/refused-call.ts";
export { CHANGING_METHODS } from "./api/router-service.ts";
export { createPicker } from "./balancing/create-picker.ts";
export { LeaseLedger } from "./balancing/lease-ledger.ts";
export type { Picker } from "./balancing/picker.ts";
export { createPolicy, POLICY_NAMES, type PolicyName } from "./balancing/policies.ts";
export { AGENT_SERVICE, createConsulSource } from "./discovery/consul/consul-source.ts";
export type { MembershipSource, SourceStatus, Standing } from "./discovery/membership.ts";
export { parseNodesFile } from "./discovery/nodes-file-source.ts";
export type { Call } from "./dispatch/call.ts";
export type { AttemptResult, AttemptTrace, CallObserver, CallTrace } from "./dispatch/call-observer.ts";
export type { CallEnding, CallerStream, CallRequest, RequestBody } from "./dispatch/call-request.ts";
export { type CallReport, Dispatcher } from "./dispatch/dispatcher.ts";
export { readCall } from "./dispatch/read-call.ts";
export type { InferenceRequest } from "./dispatch/read-profile.ts";
export { RETRY_DEFAULTS, type RetryOptions } from "./dispatch/retry-options.ts";
export { Fleet } from "./fleet/fleet.ts";
export type { NodeView } from "./fleet/node-view.ts";
export { distinctRunners } from "./fleet/runner-view.ts";
export type { FleetSnapshot } from "./fleet/snapshot.ts";
export { HEALTH_DEFAULTS, type HealthOptions } from "./health/health-options.ts";
export { NodeHealth, type NodeHealthOptions } from "./health/node-health.ts";
export { type ConnectionPool, openRouting, type Routing, type RoutingOptions } from "./open-routing.ts";
export { AGENT_PORT, type DiscoveryOptions, openSources } from "./open-sources.ts";
export { openConsulHttp } from "./transport/consul-http.ts";
export { POOL_DEFAULTS, type PoolLimits } from "./transport/pool-limits.ts";
