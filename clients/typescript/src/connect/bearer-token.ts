/**
 * The caller's token on its way into a call's headers, and the rule where it may go: not in the clear to another machine. gRPC
 * libraries refuse that too (call credentials on an insecure channel).
 */
import type { ConnectError } from "@connectrpc/connect";
import { invalidArgument } from "../errors/drover-error.ts";
import { isLoopbackUrl } from "./address.ts";
import type { TokenSource } from "./connect-options.ts";
import { connectionError } from "./connection-error.ts";

const HEADER = "authorization";

/** RFC 6750's b64token, and whatever else is printable: some issuers use more. */
const TOKEN = /^[\x21-\x7e]{1,8192}$/;

/** A copy of `header` with the token, unless the caller wrote its own authorization there. */
export async function withToken(header: HeadersInit | undefined, token: TokenSource): Promise<Headers> {
  const headers = new Headers(header);
  if (!headers.has(HEADER)) headers.set(HEADER, `Bearer ${await readToken(token)}`);
  return headers;
}

/** Whoever is asked for a token at each call may fail; what it throws is the cause, its text stays with the caller. */
async function readToken(token: TokenSource): Promise<string> {
  if (typeof token === "string") return checkToken(token);
  let value: string;
  try {
    value = await token();
  } catch (cause) {
    throw connectionError("TOKEN_UNAVAILABLE", "The function that gives the token failed; its error is the cause.", {
      cause,
    });
  }
  return checkToken(value);
}

/** Never quotes it. */
function checkToken(token: unknown): string {
  if (typeof token === "string" && TOKEN.test(token)) return token;
  const message = "The token is no bearer token: it must be printable ASCII without spaces, and without `Bearer`.";
  throw connectionError("TOKEN_UNAVAILABLE", message);
}

/** A token that can be told at once to be none. */
export function checkTokenOption(token: TokenSource | undefined): void {
  if (typeof token === "string" && !TOKEN.test(token))
    throw invalidArgument(
      "The token is no bearer token: it must be printable ASCII without spaces, and without `Bearer`.",
    );
}

export interface TokenRule {
  readonly token?: TokenSource | undefined;
  readonly allowInsecureToken?: boolean | undefined;
}

/** Why the token may not be sent there; undefined: it may, or there is none. */
export function insecureToken(url: string, rule: TokenRule): ConnectError | undefined {
  if (rule.token === undefined || rule.allowInsecureToken === true) return undefined;
  if (url.startsWith("https:") || isLoopbackUrl(url)) return undefined;
  const what = `The token is not sent to ${url} in the clear: use https, or allowInsecureToken where the network is trusted.`;
  return connectionError("INVALID_ARGUMENT_LOCAL", what);
}
