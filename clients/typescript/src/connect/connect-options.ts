/**
 * How a client reaches a router: what callers may say, and what the ways of each platform give back.
 */
import type { Transport } from "@connectrpc/connect";

export interface ConnectOptions {
  /** host:port or http(s) URL of a router, or of an agent. Default "http://127.0.0.1:50051". */
  readonly address?: string | readonly string[] | undefined;
  /** Sent as `authorization: Bearer …`; a function is asked for each call. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** Node only. */
  readonly tls?: TlsOptions | undefined;
}

export interface TlsOptions {
  /** Certificates to trust, PEM. Default: those that the system trusts. */
  readonly ca?: string | Uint8Array | undefined;
}

export interface OpenedTransport {
  readonly transport: Transport;
  /** Closes its connections. */
  readonly close: () => void | Promise<void>;
}
