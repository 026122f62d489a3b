/**
 * Who may change things: callers on this machine, or callers that know the admin token. One interceptor for the methods that it
 * is given; it knows no service by name.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { DroverError } from "./drover-error.ts";
import { toConnectError } from "./grpc-status.ts";
import { peerOf } from "./listener/peer.ts";
import { META } from "./metadata.ts";

export interface AdminGuardOptions {
  /** The methods that change things; all others pass. */
  readonly methods: readonly DescMethod[];
  /** The text of `--admin-token-file`. Where it is set, callers on this machine need it too. */
  readonly token?: string;
}

export function adminGuard(options: AdminGuardOptions): Interceptor {
  const guarded = new Set<DescMethod>(options.methods);
  return (next) => (request) => {
    if (guarded.has(request.method)) {
      const refusal = refusalOf(request.header.get(META.authorization), options.token, peerOf(request.contextValues));
      if (refusal !== undefined) throw toConnectError(refusal);
    }
    return next(request);
  };
}

function refusalOf(
  authorization: string | null,
  token: string | undefined,
  peer: ReturnType<typeof peerOf>,
): DroverError | undefined {
  if (token === undefined) {
    if (peer.isLoopback && !peer.isForwarded) return undefined;
    return refused("is allowed from the same machine only; --admin-token-file allows it from others.");
  }
  const given = /^bearer +(.+)$/i.exec(authorization ?? "")?.[1]?.trim();
  if (given === undefined)
    return refused("needs the admin token as `authorization: Bearer …`; see --admin-token-file.");
  return isSame(given, token) ? undefined : refused("came with a wrong admin token; see --admin-token-file.");
}

function refused(why: string): DroverError {
  return new DroverError("permission_denied", `This call changes things and ${why}`);
}

/** Compares hashes, so that neither length nor first difference shows in time. */
function isSame(given: string, expected: string): boolean {
  const hash = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(given), hash(expected));
}
