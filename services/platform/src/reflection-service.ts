/**
 * gRPC reflection, v1 and v1alpha, so that grpcurl and its kin work without .proto files. One handler serves both: the messages
 * differ in their package alone.
 */
import type { DescService, MessageInitShape } from "@bufbuild/protobuf";
import { Code, type ConnectRouter } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "@drover/proto/google/rpc/error_details_pb";
import { file_google_rpc_status } from "@drover/proto/google/rpc/status_pb";
import {
  ServerReflection,
  type ServerReflectionRequest,
  type ServerReflectionResponseSchema,
} from "@drover/proto/grpc/reflection/v1/reflection_pb";
import { ServerReflection as ServerReflectionV1Alpha } from "@drover/proto/grpc/reflection/v1alpha/reflection_pb";
import { createReflectionIndex, type ReflectionIndex } from "./reflection-index.ts";

type Reply = MessageInitShape<typeof ServerReflectionResponseSchema>;
type Answer = NonNullable<Reply["messageResponse"]>;

/** Routes that describe `services`, and reflection itself. */
export function reflectionRoutes(services: readonly DescService[]): (router: ConnectRouter) => void {
  const index = createReflectionIndex(
    [...services, ServerReflection, ServerReflectionV1Alpha],
    // Callers ask for these to show the details of an error instead of their bytes: grpcurl, and who has no code of its own.
    [file_google_rpc_error_details, file_google_rpc_status],
  );
  async function* serverReflectionInfo(requests: AsyncIterable<ServerReflectionRequest>): AsyncGenerator<Reply> {
    for await (const request of requests) {
      yield { validHost: request.host, originalRequest: request, messageResponse: answer(index, request) };
    }
  }
  return (router) => {
    router.service(ServerReflection, { serverReflectionInfo });
    // The types differ by the name of the package only; the plain objects above fit both.
    router.service(ServerReflectionV1Alpha, { serverReflectionInfo: serverReflectionInfo as never });
  };
}

/** What cannot be found is an answer on the stream: the caller's next question is still welcome. */
function answer(index: ReflectionIndex, { messageRequest }: ServerReflectionRequest): Answer {
  switch (messageRequest.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: index.serviceNames.map((name) => ({ name })) } };
    case "fileByFilename":
      return fileAnswer(index, index.fileByName(messageRequest.value), messageRequest.value);
    case "fileContainingSymbol":
      return fileAnswer(index, index.fileBySymbol(messageRequest.value), messageRequest.value);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = messageRequest.value;
      const file = index.fileByExtension(containingType, extensionNumber);
      return fileAnswer(index, file, `extension ${extensionNumber} of ${containingType}`);
    }
    case "allExtensionNumbersOfType": {
      const extensionNumber = index.extensionNumbers(messageRequest.value);
      if (extensionNumber === undefined) return notFound(messageRequest.value);
      const value = { baseTypeName: messageRequest.value, extensionNumber: [...extensionNumber] };
      return { case: "allExtensionNumbersResponse", value };
    }
    case undefined:
      return {
        case: "errorResponse",
        value: { errorCode: Code.InvalidArgument, errorMessage: "The request asks nothing." },
      };
  }
}

function fileAnswer(
  index: ReflectionIndex,
  file: Parameters<ReflectionIndex["closure"]>[0] | undefined,
  sought: string,
): Answer {
  if (file === undefined) return notFound(sought);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: index.closure(file) } };
}

function notFound(sought: string): Answer {
  return {
    case: "errorResponse",
    value: { errorCode: Code.NotFound, errorMessage: `Not found: ${sought.slice(0, 200)}` },
  };
}
