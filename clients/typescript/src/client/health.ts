/**
 * gRPC health of a router or an agent.
 */
import { Health, HealthCheckResponse_ServingStatus as Status } from "@drover/proto/grpc/health/v1/health_pb";
import { DroverError } from "../errors/drover-error.ts";
import type { CallOptions } from "./call-options.ts";
import { callUnary, type Sending } from "./sending.ts";

/** As in grpc.health.v1; SERVICE_UNKNOWN for a service that the other side does not have. */
export type HealthStatus = "SERVING" | "NOT_SERVING" | "UNKNOWN" | "SERVICE_UNKNOWN";

export async function checkHealth(
  sending: Sending,
  service: string,
  options: Pick<CallOptions, "signal" | "timeoutMs" | "headers">,
): Promise<HealthStatus> {
  try {
    const { message } = await callUnary(sending, Health.method.check, { service }, options);
    return statusName(message.status);
  } catch (error) {
    // The protocol's answer to a service that is not there.
    if (error instanceof DroverError && error.status === "NOT_FOUND") return "SERVICE_UNKNOWN";
    throw error;
  }
}

function statusName(status: Status): HealthStatus {
  switch (status) {
    case Status.SERVING:
      return "SERVING";
    case Status.NOT_SERVING:
      return "NOT_SERVING";
    case Status.SERVICE_UNKNOWN:
      return "SERVICE_UNKNOWN";
    default:
      return "UNKNOWN";
  }
}
