/** What @drover/agent offers to tests and to programs that run an agent in their own process. */

export type { AgentDeps, AgentSettings } from "./agent-parts.ts";
export { type Agent, buildAgent } from "./build-agent.ts";
