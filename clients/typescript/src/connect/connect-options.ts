/** What a caller says about how to reach routers, and what it gets: one transport that it closes. */
import type { Transport } from "@connectrpc/connect";

/** PEM text or its bytes. */
export type Pem = string | Uint8Array;

/** Node only: elsewhere the runtime decides whom to trust. */
export interface TlsOptions {
  /** Whose certificates are trusted, instead of the ones that come with Node. */
  readonly ca?: Pem | readonly Pem[] | undefined;
  /** The client's own certificate chain, where the other side asks for one; with `key`. */
  readonly cert?: Pem | undefined;
  readonly key?: Pem | undefined;
  readonly passphrase?: string | undefined;
  /** The name that the certificate must carry, where it is not the one in the address. */
  readonly serverName?: string | undefined;
  /** Default true. False believes any certificate: for trying out only. */
  readonly rejectUnauthorized?: boolean | undefined;
}

export type TokenSource = string | (() => string | Promise<string>);

export interface ConnectOptions {
  /**
   * Where a router, or an agent, listens; several of them are one service, and a call goes to the next where the first provably
   * did not run it. Default `127.0.0.1:50051`.
   *
   * - `host:50051`, `host` (port 50051), `[::1]:50051`: without TLS, with it where `tls` is given;
   * - `http://host:50051`, `https://host`: a URL means what URLs mean, so its ports without a number are 80 and 443;
   * - `dns:///name:50051` (Node): all addresses of the name;
   * - `consul://drover-router` (Node): the passing instances of this service in the Consul of CONSUL_HTTP_ADDR;
   *   `consul://host:8500/drover-router` names the Consul. CONSUL_HTTP_TOKEN is honoured.
   */
  readonly address?: string | readonly string[] | undefined;
  /**
   * Sent as `authorization: Bearer`; a function is asked for each call. It goes to another machine only over TLS, unless
   * `allowInsecureToken` says otherwise.
   */
  readonly token?: TokenSource | undefined;
  /** Default false: where the network itself is trusted, as inside a mesh or a VPN. */
  readonly allowInsecureToken?: boolean | undefined;
  readonly tls?: TlsOptions | undefined;
}

export interface OpenedTransport {
  readonly transport: Transport;
  /** Ends every connection and what runs on it. Harmless when called again. */
  readonly close: () => void;
}
