/** Takes OTLP over HTTP as a collector does and drops it. A process of its own, so that its CPU is not the router's. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const server = createServer((request, response) => {
  request.resume();
  request.once("end", () => response.setHeader("content-type", "application/x-protobuf").end());
});

server.listen(0, "127.0.0.1", () => {
  process.send?.({ type: "ready", address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
});
process.once("disconnect", () => process.exit());
