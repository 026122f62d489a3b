/**
 * The least that can be called a relay: every stream to one fixed address, headers and bytes as they come, no decision of any
 * kind. What the router costs above this is the price of its work.
 */
import http2, { type ClientHttp2Stream, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";

const upstream = http2.connect(`http://${process.argv[2]}`, { maxSessionMemory: 1_000 });
const server = http2.createServer({ maxSessionMemory: 1_000 });

server.on("stream", (down: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
  const up: ClientHttp2Stream = upstream.request({ ...headers, te: "trailers" });
  let trailers: IncomingHttpHeaders = {};
  down.pipe(up);
  up.on("response", ({ ":status": status, ...rest }) =>
    down.respond({ ":status": status, ...rest }, { waitForTrailers: true }),
  );
  up.on("data", (chunk: Buffer) => {
    if (down.write(chunk)) return;
    up.pause();
    down.once("drain", () => up.resume());
  });
  up.on("trailers", (received) => {
    trailers = received;
  });
  up.on("end", () => down.end());
  down.on("wantTrailers", () => down.sendTrailers(trailers));
  up.on("error", () => down.close());
  down.on("error", () => up.close());
});

server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.send?.({ type: "ready", address: `127.0.0.1:${typeof address === "object" ? address?.port : address}` });
});
process.once("disconnect", () => process.exit());
