/** What a program publishes of itself in Consul, in Drover's words. It knows nothing of how it gets there. */

export interface ServiceDefinition {
  /** What others ask Consul for: `drover-agent`, `drover-router`. */
  readonly name: string;
  /** Unique among all instances, and the same after a restart. */
  readonly id: string;
  /** Undefined: the address by which Consul knows the machine. */
  readonly address: string | undefined;
  readonly port: number;
  /** At most 64 keys of [A-Za-z0-9_-]; a longer value than 512 bytes makes Consul refuse the whole registration. */
  readonly meta: Readonly<Record<string, string>>;
  /** Where Consul itself asks grpc.health.v1, as host:port; undefined: only the program's own word (TTL) counts. */
  readonly grpcCheck: string | undefined;
}

/** Consul refuses a longer value in Meta (`metaValueMaxLength` of its agent). */
export const META_VALUE_BYTES = 512;

/** The program's own word that it is well. */
export function ttlCheckId(serviceId: string): string {
  return `${serviceId}:ttl`;
}

/** What Consul's machine finds when it asks for health. */
export function grpcCheckId(serviceId: string): string {
  return `${serviceId}:grpc`;
}
