import { create, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
} from "@drover/proto/grpc/reflection/v1/reflection_pb";
import {
  ServerReflection as V1Alpha,
  ServerReflectionRequestSchema as V1AlphaRequestSchema,
} from "@drover/proto/grpc/reflection/v1alpha/reflection_pb";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestListener, type TestListener } from "./listener/listener.fixture.ts";
import { createReflectionIndex } from "./reflection-index.ts";

type Question = ServerReflectionRequest["messageRequest"];

let listener: TestListener;
beforeAll(async () => {
  listener = await openTestListener();
});
afterAll(async () => {
  listener.destroy();
  await listener.drain();
});

async function* v1(questions: Question[]) {
  for (const messageRequest of questions) yield create(ServerReflectionRequestSchema, { host: "h", messageRequest });
}
async function* v1alpha(questions: Question[]) {
  for (const messageRequest of questions)
    yield create(V1AlphaRequestSchema, { host: "h", messageRequest: messageRequest as never });
}

/** One stream, all questions; the answers in their order. */
const askers: [string, (questions: Question[]) => Promise<Record<string, unknown>[]>][] = [
  [
    "v1",
    async (questions) => {
      const client = createClient(ServerReflection, createGrpcTransport({ baseUrl: listener.url }));
      const answers: Record<string, unknown>[] = [];
      for await (const { validHost, originalRequest, messageResponse } of client.serverReflectionInfo(v1(questions))) {
        answers.push({ validHost, asked: originalRequest?.messageRequest.case, ...messageResponse });
      }
      return answers;
    },
  ],
  [
    "v1alpha",
    async (questions) => {
      const client = createClient(V1Alpha, createGrpcTransport({ baseUrl: listener.url }));
      const answers: Record<string, unknown>[] = [];
      for await (const { validHost, originalRequest, messageResponse } of client.serverReflectionInfo(
        v1alpha(questions),
      )) {
        answers.push({ validHost, asked: originalRequest?.messageRequest.case, ...messageResponse });
      }
      return answers;
    },
  ],
];

function files(answer: Record<string, unknown> = {}): string[] {
  const { fileDescriptorProto } = answer["value"] as { fileDescriptorProto: Uint8Array[] };
  return fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
}

describe.each(askers)("reflection %s", (_, ask) => {
  it("lists the services, itself included", async () => {
    const [answer] = await ask([{ case: "listServices", value: "" }]);
    expect(answer).toMatchObject({
      validHost: "h",
      asked: "listServices",
      case: "listServicesResponse",
      value: {
        service: [
          { name: "drover.inference.v1.InferenceService" },
          { name: "grpc.reflection.v1.ServerReflection" },
          { name: "grpc.reflection.v1alpha.ServerReflection" },
        ],
      },
    });
  });

  it.each([
    "drover.inference.v1.InferenceService",
    "drover.inference.v1.InferenceService.Chat",
    "drover.inference.v1.ChatRequest",
    "drover.inference.v1.ChatRequest.model",
    ".drover.inference.v1.ChatRequest",
  ])("finds the file of %s with all that it imports, itself first, each once", async (value) => {
    const names = files((await ask([{ case: "fileContainingSymbol", value }]))[0]);
    expect(names[0]).toBe("drover/inference/v1/inference.proto");
    expect(names).toContain("google/protobuf/duration.proto");
    expect(new Set(names).size).toBe(names.length);
  });

  it("finds a file by the name that imports use", async () => {
    const names = files((await ask([{ case: "fileByFilename", value: "google/protobuf/duration.proto" }]))[0]);
    expect(names).toEqual(["google/protobuf/duration.proto"]);
  });

  it("answers what it does not know on the stream and goes on", async () => {
    const answers = await ask([
      { case: "fileContainingSymbol", value: "no.such.Symbol" },
      { case: "fileByFilename", value: "drover/inference/v1/inference" },
      { case: "fileContainingExtension", value: { containingType: "x", extensionNumber: 1 } as never },
      { case: "allExtensionNumbersOfType", value: "no.such.Type" },
      { case: undefined },
      { case: "fileContainingSymbol", value: "x".repeat(100_000) },
      { case: "allExtensionNumbersOfType", value: "drover.inference.v1.ChatRequest" },
    ]);
    expect(answers.map((answer) => (answer["value"] as { errorCode?: number }).errorCode)).toEqual([
      5,
      5,
      5,
      5,
      3,
      5,
      undefined,
    ]);
    expect(answers.at(-1)).toMatchObject({ case: "allExtensionNumbersResponse", value: { extensionNumber: [] } });
  });
});

describe("the index", () => {
  it("holds every file, symbol and dependency of a service of several files", () => {
    const index = createReflectionIndex([RouterService]);
    const closure = index.closure(RouterService.file).map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    const names = new Set(closure.map((file) => file.name));
    for (const file of closure) for (const dependency of file.dependency) expect(names).toContain(dependency);
    for (const name of names) expect(index.fileByName(name)?.proto.name).toBe(name);
    for (const method of RouterService.methods)
      expect(index.fileBySymbol(`${RouterService.typeName}.${method.name}`)).toBe(RouterService.file);
  });

  it("finds enums, their values beside them, nested messages and extensions", () => {
    const index = createReflectionIndex([RouterService]);
    expect(index.fileBySymbol("google.protobuf.Duration")).toBeDefined();
    expect(index.fileByExtension("google.protobuf.FieldOptions", 999_999)).toBeUndefined();
  });
});
