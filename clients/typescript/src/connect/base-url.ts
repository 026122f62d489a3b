/**
 * One address of a router as the URL that transports want.
 */
import { invalidArgument } from "../errors/drover-error.ts";

const DEFAULT_ADDRESS = "http://127.0.0.1:50051";

/** Throws a DroverError for what is no host:port and no http(s) URL. */
export function baseUrl(address: string | readonly string[] = DEFAULT_ADDRESS): string {
  const [only, ...more] = typeof address === "string" ? [address] : address;
  if (only === undefined || more.length > 0) throw invalidArgument("address must be one host:port or URL.");
  const url = URL.parse(only.includes("://") ? only : `http://${only}`);
  if (url !== null && /^https?:$/.test(url.protocol)) return url.origin;
  throw invalidArgument(`address must be host:port or an http(s) URL, not "${only}".`);
}
