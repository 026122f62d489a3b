/**
 * The caller's token in the metadata of each call.
 */
import type { Interceptor } from "@connectrpc/connect";
import type { ConnectOptions } from "./connect-options.ts";

export function bearerToken(token: ConnectOptions["token"]): Interceptor[] {
  if (token === undefined) return [];
  return [
    (next) => async (request) => {
      const value = typeof token === "string" ? token : await token();
      request.header.set("authorization", `Bearer ${value}`);
      return next(request);
    },
  ];
}
