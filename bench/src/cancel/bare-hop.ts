/**
 * A relay of bare TCP: what one hop costs when nothing is read, counted or freed. Run as a program: `bare-hop.ts PORT`.
 */
import { type AddressInfo, connect, createServer } from "node:net";

const target = Number(process.argv[2]);
const server = createServer((caller) => {
  const next = connect(target, "127.0.0.1");
  for (const [one, other] of [
    [caller, next],
    [next, caller],
  ] as const) {
    one.pipe(other);
    one.on("error", () => undefined);
    one.on("close", () => other.destroy());
  }
});
server.listen(0, "127.0.0.1", () => {
  process.send?.({ type: "ready", address: `127.0.0.1:${(server.address() as AddressInfo).port}` });
});
process.once("disconnect", () => process.exit());
