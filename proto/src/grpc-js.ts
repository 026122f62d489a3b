/**
 * Drover's services as `@grpc/grpc-js` takes them: paths and serializers over the generated descriptors, so that its users need
 * neither protoc nor proto-loader. It opens no connection.
 *
 * ```ts
 * import { credentials } from "@grpc/grpc-js";
 * import { grpcJsClient, inferenceService } from "@drover/proto/grpc-js";
 *
 * const InferenceClient = grpcJsClient(inferenceService);
 * const inference = new InferenceClient("127.0.0.1:50051", credentials.createInsecure());
 * inference.generate({ model: "llama3.2:1b", prompt: "Why is the sky blue?" }).on("data", ({ event }) => {
 *   if (event.case === "chunk" || event.case === "done") process.stdout.write(event.value.response);
 * });
 * ```
 *
 * The same definitions serve: `server.addService(inferenceService, { ... })`.
 */
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  type ChannelCredentials,
  type ChannelOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ClientUnaryCall,
  type ClientWritableStream,
  type Metadata,
  makeClientConstructor,
  type requestCallback,
} from "@grpc/grpc-js";
import { AgentService } from "../gen/drover/agent/v1/agent_pb.js";
import { InferenceService } from "../gen/drover/inference/v1/inference_pb.js";
import { RouterService } from "../gen/drover/router/v1/router_pb.js";
import { Health } from "../gen/grpc/health/v1/health_pb.js";

/** One method, as grpc-js's `MethodDefinition`. Requests may be plain objects with the fields that matter. */
export interface GrpcJsMethod<Method extends DescMethod> {
  readonly path: string;
  readonly requestStream: Method["methodKind"] extends "client_streaming" | "bidi_streaming" ? true : false;
  readonly responseStream: Method["methodKind"] extends "server_streaming" | "bidi_streaming" ? true : false;
  readonly requestSerialize: (request: MessageInitShape<Method["input"]>) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => MessageShape<Method["input"]>;
  readonly responseSerialize: (response: MessageInitShape<Method["output"]>) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => MessageShape<Method["output"]>;
}

/** All methods of a service by their names in TypeScript, as grpc-js's `ServiceDefinition`. */
export type GrpcJsService<Service extends DescService> = {
  readonly [Name in keyof Service["method"]]: GrpcJsMethod<Service["method"][Name]>;
};

/** Any service of protobuf-es; the four below are made with it. */
export function grpcJsService<Service extends DescService>(service: Service): GrpcJsService<Service> {
  const methods = service.methods.map((method) => [method.localName, grpcJsMethod(method)]);
  return Object.fromEntries(methods) as GrpcJsService<Service>;
}

/** Generate, Chat and Embed: at a router or straight at an agent. */
export const inferenceService: GrpcJsService<typeof InferenceService> = grpcJsService(InferenceService);
/** What a router knows of its fleet, drain and resume. */
export const routerService: GrpcJsService<typeof RouterService> = grpcJsService(RouterService);
/** What an agent says of its one node. */
export const agentService: GrpcJsService<typeof AgentService> = grpcJsService(AgentService);
/** grpc.health.v1, at both. */
export const healthService: GrpcJsService<typeof Health> = grpcJsService(Health);

/** The client of such a service: grpc-js's `makeClientConstructor`, which itself types all methods as any functions. */
export function grpcJsClient<Service extends Readonly<Record<string, { readonly path: string }>>>(
  service: Service,
): GrpcJsClientConstructor<Service> {
  const [first] = Object.values(service);
  const name = first?.path.split("/")[1] ?? "";
  return makeClientConstructor(service as never, name) as unknown as GrpcJsClientConstructor<Service>;
}

export type GrpcJsClientConstructor<Service> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<ChannelOptions>,
) => GrpcJsClient<Service>;

/** A client of grpc-js with the methods of the service. */
export type GrpcJsClient<Service> = Client & { readonly [Name in keyof Service]: GrpcJsCall<Service[Name]> };

type GrpcJsCall<Method> = Method extends {
  requestSerialize: (request: infer Request) => Buffer;
  responseDeserialize: (bytes: Buffer) => infer Response;
  requestStream: infer IsRequestStream;
  responseStream: infer IsResponseStream;
}
  ? IsRequestStream extends true
    ? IsResponseStream extends true
      ? DuplexCall<Request, Response>
      : WritingCall<Request, Response>
    : IsResponseStream extends true
      ? ReadingCall<Request, Response>
      : UnaryCall<Request, Response>
  : never;

interface UnaryCall<Request, Response> {
  (request: Request, callback: requestCallback<Response>): ClientUnaryCall;
  (request: Request, metadata: Metadata, callback: requestCallback<Response>): ClientUnaryCall;
  (request: Request, metadata: Metadata, options: CallOptions, callback: requestCallback<Response>): ClientUnaryCall;
}

interface ReadingCall<Request, Response> {
  (request: Request, options?: CallOptions): ClientReadableStream<Response>;
  (request: Request, metadata: Metadata, options?: CallOptions): ClientReadableStream<Response>;
}

type WritingCall<Request, Response> = (callback: requestCallback<Response>) => ClientWritableStream<Request>;

interface DuplexCall<Request, Response> {
  (options?: CallOptions): ClientDuplexStream<Request, Response>;
  (metadata: Metadata, options?: CallOptions): ClientDuplexStream<Request, Response>;
}

function grpcJsMethod(method: DescMethod): GrpcJsMethod<DescMethod> {
  const { methodKind: kind, input, output } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    // The types know them for each method; here it is any.
    requestStream: (kind === "client_streaming" || kind === "bidi_streaming") as never,
    responseStream: (kind === "server_streaming" || kind === "bidi_streaming") as never,
    requestSerialize: serializer(input),
    requestDeserialize: (bytes) => fromBinary(input, bytes),
    responseSerialize: serializer(output),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}

function serializer<Desc extends DescMessage>(schema: Desc): (message: MessageInitShape<Desc>) => Buffer {
  return (message) => {
    const { buffer, byteOffset, byteLength } = toBinary(schema, create(schema, message));
    // The same bytes: `Buffer.from(array)` would copy them.
    return Buffer.from(buffer, byteOffset, byteLength);
  };
}
