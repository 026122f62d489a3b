/**
 * What connect itself refuses, before or while it reads a request, by Drover's kinds. It says INTERNAL and UNIMPLEMENTED for
 * requests that are malformed; its texts are all that tells them apart.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import { DroverError } from "../drover-error.ts";
import type { EndingKind } from "../endings.ts";

/** Connect's words for what is no protobuf say where it broke; most often it was JSON. */
const NO_PROTOBUF = "parse binary: ";

/** By the start of connect's message; pinned by the tests of the listener, because another version may word it otherwise. */
const BY_TEXT: readonly (readonly [string, EndingKind])[] = [
  [NO_PROTOBUF, "malformed_request"],
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

const NO_PROTOBUF_HINT =
  ". The content type says protobuf; JSON goes as application/json, or in a stream as application/connect+json.";

/** The refusal that an error means which certainly is connect's own. */
export function refusalOfConnect(code: Code, message: string): DroverError | undefined {
  return refusal(kindByText(message) ?? BY_CODE.get(code), message);
}

/** For an error that may also be a handler's: only where the text is connect's. */
export function asRefusal(error: ConnectError): DroverError | undefined {
  if (error.details.length > 0) return undefined;
  return refusal(kindByText(error.rawMessage), error.rawMessage, error);
}

function refusal(kind: EndingKind | undefined, message: string, cause?: ConnectError): DroverError | undefined {
  if (kind === undefined) return undefined;
  const hint = message.startsWith(NO_PROTOBUF) ? NO_PROTOBUF_HINT : "";
  return new DroverError(kind, `${message}${hint}`, { cause });
}

function kindByText(message: string): EndingKind | undefined {
  return BY_TEXT.find(([start]) => message.startsWith(start))?.[1];
}
