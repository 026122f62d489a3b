/**
 * What connect itself refuses, before or while it reads a request, by Drover's kinds. It says INTERNAL and UNIMPLEMENTED for
 * requests that are malformed; its texts are all that tells them apart.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { DroverError } from "../drover-error.ts";
import type { EndingKind } from "../endings.ts";

/** By the start of connect's message; pinned by the tests of the listener, because another version may word it otherwise. */
const BY_TEXT: readonly (readonly [string, EndingKind])[] = [
  ["parse binary: ", "malformed_request"],
  ["cannot decode ", "malformed_request"],
  ["protocol error: ", "malformed_request"],
  ["premature end of stream", "malformed_request"],
  ["decompression failed", "malformed_request"],
  ["unknown compression ", "encoding_unsupported"],
  ["message size ", "request_too_large"],
];

const BY_CODE: ReadonlyMap<Code, EndingKind> = new Map([
  [Code.InvalidArgument, "malformed_request"],
  [Code.ResourceExhausted, "request_too_large"],
  [Code.Unimplemented, "not_implemented"],
]);

/** For an error that certainly is connect's own. */
export function kindOfRefusal(code: Code, message: string): EndingKind | undefined {
  return kindByText(message) ?? BY_CODE.get(code);
}

/** For an error that may also be a handler's: only where the text is connect's. */
export function asRefusal(error: ConnectError): DroverError | undefined {
  const kind = error.details.length === 0 ? kindByText(error.rawMessage) : undefined;
  return kind === undefined ? undefined : new DroverError(kind, error.rawMessage, { cause: error });
}

function kindByText(message: string): EndingKind | undefined {
  return BY_TEXT.find(([start]) => message.startsWith(start))?.[1];
}
