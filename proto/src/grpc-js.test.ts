import { create, toBinary } from "@bufbuild/protobuf";
import { credentials, Server, ServerCredentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type AttachResponse, AttachResponseSchema } from "../gen/drover/agent/v1/agent_pb.js";
import {
  ChatRequestSchema,
  type ChatResponse,
  ChatResponseSchema,
  EmbedResponseSchema,
  InferenceService,
} from "../gen/drover/inference/v1/inference_pb.js";
import { agentService, grpcJsClient, healthService, inferenceService, routerService } from "./grpc-js.ts";

const InferenceClient = grpcJsClient(inferenceService);
const AgentClient = grpcJsClient(agentService);

const server = new Server();
let address: string;

beforeAll(async () => {
  server.addService(inferenceService, {
    embed: (call: { request: { input: string[] } }, callback: (error: null, response: object) => void) =>
      callback(
        null,
        create(EmbedResponseSchema, { embeddings: call.request.input.map((text) => ({ values: [text.length] })) }),
      ),
    chat: (call: { request: { model: string }; write(message: ChatResponse): void; end(): void }) => {
      for (const content of ["Hello", " from ", call.request.model]) {
        call.write(
          create(ChatResponseSchema, { event: { case: "chunk", value: { message: { role: "assistant", content } } } }),
        );
      }
      call.end();
    },
  });
  server.addService(agentService, {
    attach: (call: NodeJS.ReadWriteStream) => {
      call.on("data", ({ event }) => {
        const id = event.value.router;
        call.write(create(AttachResponseSchema, { event: { case: "welcome", value: { node: { id } } } }) as never);
      });
      call.on("end", () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) => {
    const done = (error: Error | null, bound: number): void => (error === null ? resolve(bound) : reject(error));
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), done);
  });
  address = `127.0.0.1:${port}`;
});
afterAll(() => server.forceShutdown());

it("calls a unary method with a plain object, and is answered with a message", async () => {
  const client = new InferenceClient(address, credentials.createInsecure());
  const lengths = await new Promise<unknown>((resolve, reject) => {
    client.embed({ model: "m", input: ["a", "four"] }, (error, answer) =>
      error === null ? resolve(answer?.embeddings.map(({ values }) => values)) : reject(error),
    );
  });
  expect(lengths).toEqual([[1], [4]]);
  client.close();
});

it("reads a stream of messages, typed by their oneof", async () => {
  const client = new InferenceClient(address, credentials.createInsecure());
  let text = "";
  for await (const { event } of client.chat({ model: "m", messages: [] }) as AsyncIterable<ChatResponse>) {
    if (event.case === "chunk") text += event.value.message?.content;
  }
  expect(text).toBe("Hello from m");
  client.close();
});

it("streams in both directions", async () => {
  const client = new AgentClient(address, credentials.createInsecure());
  const attach = client.attach();
  attach.write({ event: { case: "hello", value: { router: "r1" } } });
  attach.end();
  const answers: (string | undefined)[] = [];
  for await (const { event } of attach as AsyncIterable<AttachResponse>) {
    answers.push(event.case === "welcome" ? event.value.node?.id : undefined);
  }
  expect(answers).toEqual(["r1"]);
  client.close();
});

it("has every method of the contracts, by path, kind and bytes", () => {
  expect(Object.keys(inferenceService)).toEqual(InferenceService.methods.map(({ localName }) => localName));
  expect(routerService.watchFleet).toMatchObject({
    path: "/drover.router.v1.RouterService/WatchFleet",
    responseStream: true,
  });
  expect(agentService.attach).toMatchObject({ requestStream: true, responseStream: true });
  expect(healthService.check).toMatchObject({ path: "/grpc.health.v1.Health/Check", responseStream: false });
  const request = { model: "m", messages: [{ role: "user", content: "Grüße" }] };
  const bytes = inferenceService.chat.requestSerialize(request);
  expect(new Uint8Array(bytes)).toEqual(toBinary(ChatRequestSchema, create(ChatRequestSchema, request)));
  expect(inferenceService.chat.requestDeserialize(bytes)).toMatchObject(request);
});
