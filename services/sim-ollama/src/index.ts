/** A simulated Ollama for tests that run it in their own process. */
export type { Fault, FaultKind } from "./faults.ts";
export type { Capability, ModelConfig } from "./model-catalog.ts";
export type { RequestEnd, RequestPhase, RequestRecord } from "./request-log.ts";
export { createSimOllama, type SimOllama, type SimOllamaOptions } from "./sim-ollama.ts";
