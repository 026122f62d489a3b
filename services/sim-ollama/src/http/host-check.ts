/**
 * Whom Ollama answers: on a loopback address only requests that name this machine in Host, and no page of a foreign
 * site. Source: allowedHostsMiddleware and the CORS set-up in server/routes.go.
 */
import { BlockList, isIP } from "node:net";
import { hostname } from "node:os";

const LOCAL_SUFFIXES = [".localhost", ".local", ".internal"];
const LOCAL_ORIGIN =
  /^(https?:\/\/(localhost|127\.0\.0\.1|0\.0\.0\.0)(:\d+)?|(app|file|tauri|vscode-webview|vscode-file):\/\/.*)$/;

/** `boundTo` is the address that the server listens on. */
export function isHostAllowed(host: string | undefined, boundTo: string): boolean {
  if (!isLoopback(boundTo)) return true;
  const name = (host ?? "")
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "")
    .toLowerCase();
  if (isIP(name) !== 0) return isNear(name);
  if (name === "" || name === "localhost" || name === hostname().toLowerCase()) return true;
  return LOCAL_SUFFIXES.some((suffix) => name.endsWith(suffix));
}

/** A request without Origin is no browser's; one to its own host is no foreign page's. */
export function isOriginAllowed(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined || origin === `http://${host}` || origin === `https://${host}`) return true;
  return LOCAL_ORIGIN.test(origin);
}

function isLoopback(address: string): boolean {
  return address.startsWith("127.") || address === "::1";
}

function isNear(address: string): boolean {
  const near = new BlockList();
  near.addSubnet("127.0.0.0", 8);
  near.addSubnet("10.0.0.0", 8);
  near.addSubnet("172.16.0.0", 12);
  near.addSubnet("192.168.0.0", 16);
  near.addAddress("0.0.0.0");
  near.addAddress("::1", "ipv6");
  near.addAddress("::", "ipv6");
  near.addSubnet("fc00::", 7, "ipv6");
  return near.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
}
