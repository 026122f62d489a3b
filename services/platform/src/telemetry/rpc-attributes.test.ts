import { Code } from "@connectrpc/connect";
import { expect, it } from "vitest";
import { DroverError } from "../drover-error.ts";
import { rpcAttributes, statusName } from "./rpc-attributes.ts";

it.each([
  [undefined, "OK"],
  [Code.Canceled, "CANCELLED"],
  [Code.DeadlineExceeded, "DEADLINE_EXCEEDED"],
  [Code.Unauthenticated, "UNAUTHENTICATED"],
  [99 as Code, "UNKNOWN"],
])("spells status %s as gRPC does", (code, name) => {
  expect(statusName(code)).toBe(name);
});

it("names a method without the slash of its path, and the reason beside the status", () => {
  expect(rpcAttributes("/a.B/C", new DroverError("queue_full", "full"))).toEqual({
    "rpc.system.name": "grpc",
    "rpc.method": "a.B/C",
    "rpc.response.status_code": "RESOURCE_EXHAUSTED",
    "error.type": "QUEUE_FULL",
  });
});
