/**
 * What browsers and HTTP/1.1 bring along: the Host check against DNS rebinding, and CORS for the pages that were named. Answers
 * the requests that must not reach a handler; knows no RPC.
 */
import type { IncomingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { cors } from "@connectrpc/connect";
import { META } from "../metadata.ts";

export interface HttpGuardOptions {
  /** The listener's real address is a loopback address. */
  readonly isLoopbackListener: boolean;
  /** Host names without port, as `--allow-host` gives them. */
  readonly allowHosts: readonly string[];
  /** Origins as browsers send them, or `*`. */
  readonly corsOrigins: readonly string[];
}

/** The part of a request that the guard reads; `host` is `:authority` on HTTP/2. */
export interface GuardedRequest {
  readonly httpVersion: string;
  readonly method: string;
  readonly headers: IncomingHttpHeaders;
}

/** Answered here with `status` and `text`, or passed on with `headers` to add. */
export type GuardResult =
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly headers: Record<string, string>;
      readonly text: string;
    }
  | { readonly kind: "pass"; readonly headers: Record<string, string> };

/** Browsers may keep a preflight's answer for two hours (Chromium's own limit). */
const PREFLIGHT_SECONDS = "7200";

/** What Drover says beside the message. Connect sends the trailers of unary calls as headers with `Trailer-` before their names. */
const TOLD = [META.call, META.node, META.attempts, META.queueMs, META.loadMs, META.ttftMs, META.resumed, META.why];
const EXPOSED_HEADERS = [...cors.exposedHeaders, META.retryPushbackMs, ...TOLD]
  .concat(TOLD.map((name) => `trailer-${name}`))
  .join(", ");

export function createHttpGuard(options: HttpGuardOptions): (request: GuardedRequest) => GuardResult {
  const allowHosts = new Set(options.allowHosts.map((host) => host.toLowerCase()));
  const origins = new Set(options.corsOrigins.map((origin) => origin.toLowerCase()));
  return (request) => {
    const host = request.headers.host ?? "";
    // Browsers speak HTTP/2 over TLS only, where the certificate does what the Host check does here.
    if (request.httpVersion.startsWith("1.") && !isHostAllowed(host, options.isLoopbackListener, allowHosts)) {
      return {
        kind: "answer",
        status: 403,
        headers: {},
        text: `Host "${host.slice(0, 100)}" is not served here; --allow-host adds it.\n`,
      };
    }
    const { origin = "" } = request.headers;
    const isNamedPage = origin !== "" && (origins.has("*") || origins.has(origin.toLowerCase()));
    const isPreflight = request.method === "OPTIONS" && request.headers["access-control-request-method"] !== undefined;
    if (!isPreflight) return { kind: "pass", headers: isNamedPage ? answerHeaders(origin) : {} };
    return isNamedPage
      ? { kind: "answer", status: 204, headers: preflightHeaders(origin, request.headers), text: "" }
      : { kind: "answer", status: 403, headers: {}, text: refusal(origin) };
  };
}

function answerHeaders(origin: string): Record<string, string> {
  return {
    "access-control-allow-origin": origin,
    "access-control-expose-headers": EXPOSED_HEADERS,
    vary: "Origin",
  };
}

/**
 * Which headers a named page sends is its own affair, as it is every other caller's: metadata of the caller reaches the node. So
 * the answer is what was asked for; `*` would leave out `authorization` (Fetch standard, CORS-preflight fetch).
 */
function preflightHeaders(origin: string, asked: IncomingHttpHeaders): Record<string, string> {
  return {
    "access-control-allow-origin": origin,
    "access-control-allow-methods": cors.allowedMethods.join(", "),
    "access-control-allow-headers": asked["access-control-request-headers"] ?? "",
    "access-control-max-age": PREFLIGHT_SECONDS,
    vary: "Origin, Access-Control-Request-Headers",
  };
}

/** Browsers show it to nobody but the developer who looks into their network panel. */
function refusal(origin: string): string {
  return `Pages of "${origin.slice(0, 100)}" may not call; --cors-origin adds them.\n`;
}

function isHostAllowed(hostHeader: string, isLoopbackListener: boolean, allowHosts: ReadonlySet<string>): boolean {
  const host = hostName(hostHeader);
  if (allowHosts.has(host)) return true;
  if (!isLoopbackListener) return allowHosts.size === 0;
  return host === "localhost" || host.endsWith(".localhost") || isIP(host) !== 0;
}

/** The name in a Host header, lower case, without port and brackets. */
function hostName(hostHeader: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(hostHeader);
  const name = bracketed?.[1] ?? hostHeader.replace(/:\d*$/, "");
  return name.toLowerCase();
}
