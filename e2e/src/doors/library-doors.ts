/** Doors that are libraries in this process: connect's transports for Node and for the web, and grpc-js. */
import {
  create,
  type DescMethod,
  type DescMethodStreaming,
  type DescMethodUnary,
  fromJson,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import { ConnectError, type Transport } from "@connectrpc/connect";
import { codeToString } from "@connectrpc/connect/protocol-connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import * as web from "@connectrpc/connect-web";
import { ErrorInfoSchema } from "@drover/proto/google/rpc/error_details_pb";
import { grpcJsService } from "@drover/proto/grpc-js";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { type Answer, type Ask, type BothWays, type Door, reasonOfDetails } from "./door.ts";

type OpenTransport = (baseUrl: string) => Transport;

const HTTP_VERSIONS = ["1.1", "2"] as const;
const FORMATS = [
  ["binary", true],
  ["JSON", false],
] as const;

/** Every protocol that connect speaks, over each version of HTTP that can carry it, in both formats. */
export function connectDoors(): Door[] {
  const doors = FORMATS.flatMap(([format, useBinaryFormat]) => [
    transportDoor(`connect-node, gRPC ${format}, HTTP/2`, "yes", (baseUrl) =>
      createGrpcTransport({ baseUrl, useBinaryFormat }),
    ),
    ...HTTP_VERSIONS.flatMap((httpVersion) => [
      transportDoor(`connect-node, gRPC-Web ${format}, HTTP/${httpVersion}`, bothWaysOver(httpVersion), (baseUrl) =>
        createGrpcWebTransport({ baseUrl, httpVersion, useBinaryFormat }),
      ),
      transportDoor(`connect-node, Connect ${format}, HTTP/${httpVersion}`, bothWaysOver(httpVersion), (baseUrl) =>
        createConnectTransport({ baseUrl, httpVersion, useBinaryFormat }),
      ),
    ]),
    transportDoor(`connect-web, Connect ${format}, HTTP/1.1`, "refused by the library", (baseUrl) =>
      web.createConnectTransport({ baseUrl, useBinaryFormat }),
    ),
    transportDoor(`connect-web, gRPC-Web ${format}, HTTP/1.1`, "refused by the library", (baseUrl) =>
      web.createGrpcWebTransport({ baseUrl, useBinaryFormat }),
    ),
  ]);
  return doors;
}

const bothWaysOver = (version: "1.1" | "2"): BothWays => (version === "2" ? "yes" : "refused by the router");

function transportDoor(name: string, bothWays: BothWays, open: OpenTransport): Door {
  const transports = new Map<string, Transport>();
  const transportTo = (address: string): Transport => {
    const transport = transports.get(address) ?? open(`http://${address}`);
    transports.set(address, transport);
    return transport;
  };
  return {
    name,
    bothWays,
    canMalformDeadline: true,
    ask: (ask) => askTransport(transportTo(ask.address), ask),
  };
}

async function askTransport(transport: Transport, ask: Ask): Promise<Answer> {
  const { method, take, isDeadlineMalformed } = ask;
  const header = isDeadlineMalformed === true ? { "grpc-timeout": "soon", "connect-timeout-ms": "soon" } : {};
  const input = fromJson(method.input, ask.request);
  const leave = new AbortController();
  const messages: JsonValue[] = [];
  // Who leaves after some answers of both streams keeps its side open until then.
  const isOpen = method.methodKind === "bidi_streaming" && take !== undefined;
  try {
    if (method.methodKind === "unary") {
      const { message } = await transport.unary(method as DescMethodUnary, leave.signal, undefined, header, input);
      messages.push(toJson(method.output, message));
    } else {
      const response = await transport.stream(
        method as DescMethodStreaming,
        leave.signal,
        undefined,
        header,
        once(input, leave.signal, isOpen),
      );
      for await (const message of response.message) {
        messages.push(toJson(method.output, message));
        if (messages.length === take) break;
      }
    }
    return { messages, code: "ok", message: "", reason: undefined };
  } catch (error) {
    const failure = ConnectError.from(error);
    const reason = failure.findDetails(ErrorInfoSchema)[0]?.reason;
    return { messages, code: codeToString(failure.code), message: failure.rawMessage, reason };
  } finally {
    leave.abort();
  }
}

async function* once<T>(message: T, signal: AbortSignal, isOpen: boolean): AsyncGenerator<T> {
  yield message;
  if (isOpen && !signal.aborted)
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}

/** @grpc/grpc-js with the definitions that @drover/proto exports. */
export function grpcJsDoor(): Door {
  const clients = new Map<string, Client>();
  const clientOf = (address: string): Client => {
    const client = clients.get(address) ?? new Client(address, credentials.createInsecure());
    clients.set(address, client);
    return client;
  };
  return {
    name: "grpc-js, gRPC binary, HTTP/2",
    bothWays: "yes",
    canMalformDeadline: true,
    ask: (ask) => askGrpcJs(clientOf(ask.address), ask),
    close: async () => {
      for (const client of clients.values()) client.close();
    },
  };
}

function askGrpcJs(client: Client, { method, request, take, isDeadlineMalformed }: Ask): Promise<Answer> {
  const definition = definitionOf(method);
  const { path, requestSerialize, responseDeserialize } = definition;
  const metadata = new Metadata();
  if (isDeadlineMalformed === true) metadata.set("grpc-timeout", "soon");
  const input = fromJson(method.input, request);
  const messages: JsonValue[] = [];
  const failed = (error: ServiceError): Answer => {
    const [details] = error.metadata.get("grpc-status-details-bin");
    const reason = Buffer.isBuffer(details) ? reasonOfDetails(details) : undefined;
    return { messages, code: codeToString(Number(error.code)), message: error.details, reason };
  };
  return new Promise((resolve) => {
    const ok = (): void => resolve({ messages, code: "ok", message: "", reason: undefined });
    if (method.methodKind === "unary") {
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, input, metadata, (error, message) => {
        if (error !== null) return resolve(failed(error));
        messages.push(toJson(method.output, message ?? create(method.output)));
        ok();
      });
      return;
    }
    const isBidi = method.methodKind === "bidi_streaming";
    const call = isBidi
      ? openBidi(client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata), input, take)
      : client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, input, metadata);
    call.on("data", (message) => {
      messages.push(toJson(method.output, message));
      if (messages.length !== take) return;
      ok();
      call.cancel();
    });
    call.on("error", (error: ServiceError) => resolve(failed(error)));
    call.on("end", ok);
  });
}

/** With its one request; who leaves after some answers keeps its side open until then. */
function openBidi<Call extends { write(message: unknown): unknown; end(): unknown }>(
  call: Call,
  input: unknown,
  take: number | undefined,
): Call {
  call.write(input);
  if (take === undefined) call.end();
  return call;
}

function definitionOf(method: DescMethod) {
  const definition = grpcJsService(method.parent)[method.localName];
  if (definition === undefined) throw new Error(`no ${method.name}`);
  return definition;
}
