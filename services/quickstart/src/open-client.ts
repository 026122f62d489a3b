/** A gRPC client on one address that can be closed, as connect's own transports cannot. */
import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";

export interface OpenClient<T extends DescService> extends Disposable {
  readonly client: Client<T>;
}

/** `address` is `host:port`. */
export function openClient<T extends DescService>(service: T, address: string): OpenClient<T> {
  const baseUrl = `http://${address}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  const client = createClient(service, createGrpcTransport({ baseUrl, sessionManager }));
  return { client, [Symbol.dispose]: () => sessionManager.abort() };
}
