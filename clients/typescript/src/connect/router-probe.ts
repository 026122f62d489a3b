/** Asks a router for its health: a call that may fail without harm to anybody. */
import { Code, ConnectError } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "@drover/proto/grpc/health/v1/health_pb";
import type { Router } from "./router.ts";

const PROBE_TIMEOUT_MS = 5_000;

/** Codes of somebody who is there, and only does not serve this question: a proxy before a router may not. */
const THERE: ReadonlySet<Code> = new Set([
  Code.Unimplemented,
  Code.NotFound,
  Code.PermissionDenied,
  Code.Unauthenticated,
]);

/** Whether it answers and serves. Never rejects. */
export async function probeRouter({ transport }: Router): Promise<boolean> {
  try {
    const { message } = await transport.unary(Health.method.check, undefined, PROBE_TIMEOUT_MS, undefined, {});
    return message.status === HealthCheckResponse_ServingStatus.SERVING;
  } catch (error) {
    return THERE.has(ConnectError.from(error).code);
  }
}
