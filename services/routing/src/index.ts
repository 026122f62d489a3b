/** What @drover/routing offers to a router, a client without a router, and the simulator. */

export type { CallProfile } from "./balancing/call-profile.ts";
export { createPicker } from "./balancing/create-picker.ts";
export { isAddressedBy } from "./balancing/eligibility.ts";
export { LeaseLedger } from "./balancing/lease-ledger.ts";
export type { Picker } from "./balancing/picker.ts";
export { createPolicy, POLICY_NAMES, type PolicyName } from "./balancing/policies.ts";
export type { MembershipSource } from "./discovery/membership.ts";
export { createStaticSource } from "./discovery/static-source.ts";
export type { Call } from "./dispatch/call.ts";
export type { CallEnding, CallerStream, CallRequest, RequestBody } from "./dispatch/call-request.ts";
export { Dispatcher } from "./dispatch/dispatcher.ts";
export { type ReceivedCall, readCall } from "./dispatch/read-call.ts";
export type { InferenceRequest } from "./dispatch/read-profile.ts";
export { RETRY_DEFAULTS, type RetryOptions } from "./dispatch/retry-options.ts";
export { Fleet } from "./fleet/fleet.ts";
export { identityOf } from "./fleet/link-state.ts";
export type { Availability, ModelView, NodeView } from "./fleet/node-view.ts";
export type { FleetMember, FleetSnapshot } from "./fleet/snapshot.ts";
export { HEALTH_DEFAULTS, type HealthOptions } from "./health/health-options.ts";
export { type HealthReport, NodeHealth } from "./health/node-health.ts";
export { type AgentConnection, openAgentConnection } from "./transport/agent-connection.ts";
export { openAttachLink } from "./transport/attach-link.ts";
export { messagesOf } from "./transport/frame-scanner.ts";
export { createHttp2Transport, type Http2Transport } from "./transport/http2-transport.ts";
