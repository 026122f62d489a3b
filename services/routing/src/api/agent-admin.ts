/**
 * Asks an agent to change its node: drain, resume. Each request has a connection of its own, because they are rare and an
 * agent that hangs must not hold the next one. It turns whatever goes wrong into an error that names the node.
 */
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { type Clock, DroverError, droverErrorFromConnect, type EndingKind, META } from "@drover/platform";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import type { NodeView } from "../fleet/node-view.ts";
import { openAgentConnection } from "../transport/agent-connection.ts";

/** An agent answers these at once, without asking its Ollama. */
const TIMEOUT_MS = 5_000;
const MESSAGE_BYTES_MAX = 1024 * 1024;

export interface AgentAdminOptions {
  readonly clock: Clock;
  /** This router's own admin token, shown to agents. */
  readonly token: string | undefined;
}

export interface AgentAdmin {
  /** Both resolve when the agent has changed its node. `signal`: the caller's. They reject with a DroverError. */
  drain(node: NodeView, reason: string, signal: AbortSignal): Promise<void>;
  resume(node: NodeView, signal: AbortSignal): Promise<void>;
}

export function createAgentAdmin(options: AgentAdminOptions): AgentAdmin {
  return {
    drain: (node, reason, signal) =>
      ask(options, node, signal, async (client, call) => void (await client.drain({ reason }, call))),
    resume: (node, signal) => ask(options, node, signal, async (client, call) => void (await client.resume({}, call))),
  };
}

interface CallOptions {
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal;
}

type Question = (client: Client<typeof AgentService>, call: CallOptions) => Promise<void>;

async function ask(
  { clock, token }: AgentAdminOptions,
  node: NodeView,
  signal: AbortSignal,
  question: Question,
): Promise<void> {
  const connection = openAgentConnection(node.endpoint);
  const transport = createGrpcTransport({
    baseUrl: connection.authority,
    sessionManager: connection,
    readMaxBytes: MESSAGE_BYTES_MAX,
    acceptCompression: [],
  });
  const abort = new AbortController();
  const stop = (): void => abort.abort();
  const timer = clock.after(TIMEOUT_MS, stop);
  signal.addEventListener("abort", stop, { once: true });
  try {
    const headers = token === undefined ? {} : { [META.authorization]: `Bearer ${token}` };
    await question(createClient(AgentService, transport), { headers, signal: abort.signal });
  } catch (error) {
    throw refusalOf(error, node, token !== undefined);
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", stop);
    connection.close();
  }
}

function refusalOf(error: unknown, node: NodeView, hasToken: boolean): DroverError {
  const details = { facts: { node: node.name }, cause: error };
  const said = error instanceof ConnectError ? droverErrorFromConnect(error) : undefined;
  const kind = said?.kind ?? kindOf(error);
  switch (kind) {
    case "permission_denied":
      return new DroverError(kind, deniedMessage(node, hasToken), details);
    case "not_implemented":
      return new DroverError(
        kind,
        `What listens at node "${node.name}" cannot drain or resume: is it an older drover-agent?`,
        details,
      );
    case "node_unreachable":
      return new DroverError(
        kind,
        `The agent of node "${node.name}" does not answer, so nothing was changed as far as is known: is drover-agent running there?`,
        details,
      );
    default:
      return new DroverError(kind, `Node "${node.name}" answered: ${said?.message ?? "no reason was given"}`, details);
  }
}

/** For answers without a reason of ours: another program listens there, or nobody does. */
function kindOf(error: unknown): EndingKind {
  switch (error instanceof ConnectError ? error.code : undefined) {
    case Code.PermissionDenied:
    case Code.Unauthenticated:
      return "permission_denied";
    case Code.Unimplemented:
      return "not_implemented";
    default:
      return "node_unreachable";
  }
}

function deniedMessage(node: NodeView, hasToken: boolean): string {
  const why = hasToken
    ? "it does not accept the admin token that it was shown, or was started without one"
    : "it was shown no admin token, and takes changes from its own machine only or asks for its token";
  const what =
    "Start the agent with --admin-token-file, and give the router the same file, or the client without one its `adminToken`";
  return `The agent of node "${node.name}" refused: ${why}. ${what}.`;
}
