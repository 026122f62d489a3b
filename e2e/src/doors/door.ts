/**
 * A way to call any method of any service: one program or library, in one protocol over one version of HTTP. Everything crosses it as
 * JSON, so that one table of methods serves all doors.
 */
import { type DescMethod, fromBinary, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { StatusSchema } from "@drover/proto/google/rpc/status_pb";

export interface Ask {
  readonly address: string;
  readonly method: DescMethod;
  readonly request: JsonObject;
  /** The caller leaves after so many messages; undefined: it reads to the end. */
  readonly take?: number | undefined;
  /** With a deadline that is no number. */
  readonly isDeadlineMalformed?: boolean;
}

export interface Answer {
  readonly messages: readonly JsonValue[];
  /** `ok`, `not_found` and so on; also `ok` for a caller that left. */
  readonly code: string;
  readonly message: string;
  /** ErrorInfo.reason. */
  readonly reason: string | undefined;
}

export type BothWays = "yes" | "refused by the router" | "refused by the library";

export interface Door {
  readonly name: string;
  /** Whether both sides can stream: over HTTP/1.1 the router says no, and some libraries do not even ask it. */
  readonly bothWays: BothWays;
  /** Some programs let nobody set the header of the deadline. */
  readonly canMalformDeadline: boolean;
  ask(ask: Ask): Promise<Answer>;
  close?(): Promise<void>;
}

export const pathOf = ({ parent, name }: DescMethod): string => `${parent.typeName}/${name}`;

/** The reason in `grpc-status-details-bin`. */
export function reasonOfDetails(encoded: Uint8Array | undefined): string | undefined {
  if (encoded === undefined || encoded.length === 0) return undefined;
  const { details } = fromBinary(StatusSchema, encoded);
  return details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find((info) => info !== undefined)?.reason;
}

/** JSON values one after the other, as programs print streams; what is not complete yet is left out. */
export function readJsonValues(text: string): JsonValue[] {
  const values: JsonValue[] = [];
  let depth = 0;
  let start = 0;
  let isInText = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (isInText) {
      if (letter === "\\") at++;
      else if (letter === '"') isInText = false;
    } else if (letter === '"') isInText = true;
    else if (letter === "{" && depth++ === 0) start = at;
    else if (letter === "}" && --depth === 0) values.push(JSON.parse(text.slice(start, at + 1)));
  }
  return values;
}
