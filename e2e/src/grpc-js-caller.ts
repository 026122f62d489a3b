/**
 * Calls through grpc-js, an implementation of gRPC that shares no line with ours, with messages of the generated contract.
 */
import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { type CallOptions, Client, credentials, Metadata, type ServiceError, type StatusObject } from "@grpc/grpc-js";

type Unary<I extends DescMessage, O extends DescMessage> = DescMethodUnary<I, O>;
type Streaming<I extends DescMessage, O extends DescMessage> = DescMethodServerStreaming<I, O>;

export interface CallSettings extends CallOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  /** A stream is cancelled after this long. */
  readonly leaveAfterMs?: number;
}

export interface StreamResult<M> {
  readonly messages: readonly M[];
  /** When each message came, since the call began. */
  readonly atMs: readonly number[];
  /** Undefined: OK. */
  readonly error: ServiceError | undefined;
  readonly trailers: Metadata;
}

export interface GrpcJsCaller {
  /** Rejects with the ServiceError. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: Unary<I, O>,
    request: MessageInitShape<I>,
    settings?: CallSettings,
  ): Promise<MessageShape<O>>;
  /** Never rejects: how the stream ended is part of the result. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: Streaming<I, O>,
    request: MessageInitShape<I>,
    settings?: CallSettings,
  ): Promise<StreamResult<MessageShape<O>>>;
  /** A stream that is read while it runs. */
  follow<I extends DescMessage, O extends DescMessage>(
    method: Streaming<I, O>,
    request: MessageInitShape<I>,
  ): FollowedStream<MessageShape<O>>;
  close(): void;
}

export interface FollowedStream<M> {
  /** Those that have come so far. */
  readonly messages: readonly M[];
  readonly ended: Promise<StatusObject>;
  cancel(): void;
}

export function createGrpcJsCaller(address: string): GrpcJsCaller {
  // Without retries of its own: what is seen is what the router did.
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.enable_retries": 0,
    "grpc.max_send_message_length": -1,
    "grpc.max_receive_message_length": -1,
  });
  return {
    unary: (method, request, settings = {}) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          pathOf(method),
          encode(method.input),
          (bytes: Buffer) => fromBinary(method.output, bytes),
          create(method.input, request),
          metadataOf(settings),
          settings,
          (error, message) =>
            error === null && message !== undefined ? resolve(message) : reject(error ?? new Error("no message")),
        );
      }),
    stream: (method, request, settings = {}) => readStream(client, method, request, settings),
    follow: (method, request) => followStream(client, method, request),
    close: () => client.close(),
  };
}

function readStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: Streaming<I, O>,
  request: MessageInitShape<I>,
  settings: CallSettings,
): Promise<StreamResult<MessageShape<O>>> {
  const startMs = performance.now();
  const call = client.makeServerStreamRequest(
    pathOf(method),
    encode(method.input),
    (bytes: Buffer) => fromBinary(method.output, bytes),
    create(method.input, request),
    metadataOf(settings),
    settings,
  );
  if (settings.leaveAfterMs !== undefined) setTimeout(() => call.cancel(), settings.leaveAfterMs);
  const messages: MessageShape<O>[] = [];
  const atMs: number[] = [];
  let error: ServiceError | undefined;
  return new Promise((resolve) => {
    call.on("data", (message: MessageShape<O>) => {
      messages.push(message);
      atMs.push(performance.now() - startMs);
    });
    call.on("error", (failure: ServiceError) => {
      error = failure;
    });
    call.on("status", (status) => resolve({ messages, atMs, error, trailers: status.metadata }));
  });
}

function followStream<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: Streaming<I, O>,
  request: MessageInitShape<I>,
): FollowedStream<MessageShape<O>> {
  const call = client.makeServerStreamRequest(
    pathOf(method),
    encode(method.input),
    (bytes: Buffer) => fromBinary(method.output, bytes),
    create(method.input, request),
  );
  const messages: MessageShape<O>[] = [];
  call.on("data", (message: MessageShape<O>) => messages.push(message));
  call.on("error", () => undefined);
  const ended = new Promise<StatusObject>((resolve) => call.on("status", resolve));
  return { messages, ended, cancel: () => call.cancel() };
}

function pathOf(method: { readonly parent: { readonly typeName: string }; readonly name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

function encode<I extends DescMessage>(schema: I): (message: MessageShape<I>) => Buffer {
  return (message) => Buffer.from(toBinary(schema, message));
}

function metadataOf({ metadata = {} }: CallSettings): Metadata {
  const result = new Metadata();
  for (const [key, value] of Object.entries(metadata)) result.set(key, value);
  return result;
}
