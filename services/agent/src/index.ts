/** What @drover/agent offers to tests and to programs that run an agent in their own process. */

export { type Agent, type AgentDeps, type AgentSettings, buildAgent } from "./build-agent.ts";
