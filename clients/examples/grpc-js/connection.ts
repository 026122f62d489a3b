/** What the examples share: whether a router is there, and what an error of it says. */
import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { StatusSchema } from "@drover/proto/google/rpc/status_pb";
import { type Client, type ServiceError, status } from "@grpc/grpc-js";

const CONNECT_MS = 2_000;

/** Ends the program with a sentence when nobody is there. */
export function untilReady(client: Client, address: string): Promise<void> {
  return new Promise((resolve) => {
    client.waitForReady(Date.now() + CONNECT_MS, (error) => {
      if (error === undefined) return resolve();
      process.stderr.write(`No router answers at ${address}. Start one with: npm start\n`);
      process.exit(1);
    });
  });
}

/** `NOT_FOUND (MODEL_NOT_FOUND): ...`: the status, the reason for programs, the words for people. */
export function explain(error: ServiceError): string {
  return `${status[error.code]} (${reasonOf(error)}): ${error.details}`;
}

function reasonOf({ metadata }: ServiceError): string {
  const [encoded] = metadata.get("grpc-status-details-bin");
  if (!Buffer.isBuffer(encoded)) return "no reason";
  const { details } = fromBinary(StatusSchema, encoded);
  const info = details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find((found) => found !== undefined);
  return info?.reason ?? "no reason";
}
