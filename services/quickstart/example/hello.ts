// Asks the fleet for an answer and prints it as it comes.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";

const drover = createClient(InferenceService, createGrpcTransport({ baseUrl: "http://127.0.0.1:50051" }));
const answer = drover.chat({ model: "llama3.2:1b", messages: [{ role: "user", content: "Say hello." }] });
for await (const { event } of answer) {
  if (event.case === "chunk" || event.case === "done") process.stdout.write(event.value.message?.content ?? "");
}
