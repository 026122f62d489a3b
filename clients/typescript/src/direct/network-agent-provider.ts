/** The provider over a fleet that this process holds itself. */
import { AgentProvider } from "../provider/agent-provider.ts";
import { type DirectProviderConfig, directSource } from "./provider-config.ts";

/**
 * Models on remote machines as if they were here, without a router. Throws a DroverError that names all that is wrong in `config`.
 * From its first use on it keeps a stream to each agent, until it is disposed.
 */
export class NetworkAgentProvider extends AgentProvider {
  constructor(config: DirectProviderConfig) {
    super(directSource(config));
  }
}
