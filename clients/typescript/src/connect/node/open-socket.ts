/**
 * The socket of a connection. It is opened here and not by `node:http2`, because a session whose TLS fails after the handshake, as
 * when the other side wants a certificate (TLS 1.3 says so late), leaves its socket open and never tells that it closed.
 */

import type { SecureClientSessionOptions } from "node:http2";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export function openSocket(origin: string, tls: SecureClientSessionOptions): Socket {
  const { hostname, port, protocol } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, "");
  const isTls = protocol === "https:";
  const address = { host, port: port === "" ? (isTls ? 443 : 80) : Number(port) };
  // An IP address is no server name (RFC 6066, 3).
  const name = isIP(host) === 0 ? { servername: host } : {};
  const socket = isTls
    ? connectTls({ ...address, ...name, ...tls, ALPNProtocols: ["h2"] })
    : connectTcp({ ...address, noDelay: true });
  socket.on("error", () => socket.destroy());
  return socket;
}
