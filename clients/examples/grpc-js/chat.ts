/**
 * Streams a chat with @grpc/grpc-js. The service definitions come with @drover/proto: no .proto files, no protoc.
 *
 *   node chat.ts [ADDRESS] [MODEL]
 */
import { grpcJsClient, inferenceService } from "@drover/proto/grpc-js";
import { credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { explain, untilReady } from "./connection.ts";

const [address = "127.0.0.1:50051", model = "llama3.2:1b"] = process.argv.slice(2);

const InferenceClient = grpcJsClient(inferenceService);
const inference = new InferenceClient(address, credentials.createInsecure());
await untilReady(inference, address);

// Metadata of the call: calls of one session prefer the node that served the last one.
const metadata = new Metadata();
metadata.set("drover-session", "grpc-js-example");
// The deadline holds at every hop, down to Ollama.
const options = { deadline: Date.now() + 60_000 };

const messages = [{ role: "user", content: "Say hello." }];
const stream = inference.chat({ model, messages }, metadata, options);
// Whoever has seen enough calls this: the node stops at once.
process.once("SIGINT", () => stream.cancel());

stream.on("data", ({ event }) => {
  if (event.case === "progress") process.stderr.write(`(${event.value.kind.case})\n`);
  if (event.case !== "chunk" && event.case !== "done") return;
  // The last message may carry text too.
  process.stdout.write(event.value.message?.content ?? "");
  if (event.case !== "done") return;
  const { evalCount, node } = event.value.completion ?? {};
  process.stdout.write(`\n${evalCount} tokens from ${node}\n`);
});
stream.on("error", (error) => {
  // What grpc-js types as any error is its ServiceError.
  process.stderr.write(`${explain(error as ServiceError)}\n`);
  process.exitCode = 1;
});
stream.on("close", () => inference.close());
