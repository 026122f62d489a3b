/**
 * TLS before a router, as a proxy on its machine would do it: certificates made on the spot by openssl, and a front that ends TLS and
 * passes the bytes on. Everything on loopback and in a folder of its own.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import tls from "node:tls";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly certFile: string;
  readonly keyFile: string;
}

export interface CertificateOptions {
  /** As openssl's subjectAltName. */
  readonly names: string;
  /** How long from now; below 0 it has expired. Default 1. */
  readonly days?: number;
}

export interface TestAuthority {
  /** PEM. */
  readonly ca: string;
  readonly caFile: string;
  readonly folder: string;
  issue(name: string, options: CertificateOptions): Certificate;
  close(): void;
}

export function createAuthority(openssl: string): TestAuthority {
  const folder = mkdtempSync(join(tmpdir(), "drover-tls-"));
  const file = (name: string): string => join(folder, name);
  const run = (...args: string[]): void => void execFileSync(openssl, args, { cwd: folder, stdio: "pipe" });
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  run("req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=Drover test CA");
  return {
    ca: readFileSync(file("ca.pem"), "utf8"),
    caFile: file("ca.pem"),
    folder,
    issue: (name, { names, days = 1 }) => {
      const [key, request, cert] = [`${name}.key`, `${name}.csr`, `${name}.pem`];
      run(
        "req",
        ...newKey,
        "-keyout",
        key,
        "-out",
        request,
        "-subj",
        `/CN=${name}`,
        "-addext",
        `subjectAltName=${names}`,
      );
      const by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy"];
      run("x509", "-req", "-in", request, ...by, "-out", cert, "-days", String(days));
      const [certFile, keyFile] = [file(cert), file(key)];
      return { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8"), certFile, keyFile };
    },
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export interface TlsFront {
  readonly port: number;
  close(): Promise<void>;
}

/** `clientCa`: who comes must show a certificate of this authority. */
export async function openTlsFront({ cert, key }: Certificate, router: string, clientCa?: string): Promise<TlsFront> {
  const [host, port] = router.split(":");
  const wanted = clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: true };
  const sockets = new Set<net.Socket>();
  const server = tls.createServer({ cert, key, ALPNProtocols: ["h2"], ...wanted }, (socket) => {
    const onward = net.connect(Number(port), host);
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroy());
      one.pipe(other);
    }
  });
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as net.AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
