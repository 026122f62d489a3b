/**
 * The files behind a set of services, found by name, by symbol and by extension, as bytes for gRPC reflection. Pure lookup; it
 * knows nothing of streams.
 */
import {
  type DescEnum,
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

export interface ReflectionIndex {
  readonly serviceNames: readonly string[];
  /** By the name that imports use, with `.proto`. */
  fileByName(name: string): DescFile | undefined;
  /** By the full name of a message, field, oneof, enum, enum value, extension, service or method. */
  fileBySymbol(symbol: string): DescFile | undefined;
  fileByExtension(typeName: string, number: number): DescFile | undefined;
  /** Ascending; undefined for an unknown message. */
  extensionNumbers(typeName: string): readonly number[] | undefined;
  /** The file and all that it imports, each once, as serialized FileDescriptorProto; the file itself is the first. */
  closure(file: DescFile): Uint8Array[];
}

/** `extraFiles`: what no service mentions but answers carry, such as the details of errors. */
export function createReflectionIndex(
  services: readonly DescService[],
  extraFiles: readonly DescFile[] = [],
): ReflectionIndex {
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();
  const messages = new Set<string>();
  const extensions = new Map<string, Map<number, DescFile>>();
  const addExtension = (extension: DescExtension): void => {
    symbols.set(extension.typeName, extension.file);
    const numbers = extensions.get(extension.extendee.typeName) ?? new Map<number, DescFile>();
    extensions.set(extension.extendee.typeName, numbers.set(extension.number, extension.file));
  };
  const addMessage = (message: DescMessage): void => {
    messages.add(message.typeName);
    symbols.set(message.typeName, message.file);
    for (const member of [...message.fields, ...message.oneofs]) {
      symbols.set(`${message.typeName}.${member.name}`, message.file);
    }
    for (const nested of message.nestedMessages) addMessage(nested);
    for (const nested of message.nestedEnums) addEnum(symbols, nested);
    for (const nested of message.nestedExtensions) addExtension(nested);
  };
  const addFile = (file: DescFile): void => {
    // `file.name` lacks the suffix that imports carry.
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    for (const message of file.messages) addMessage(message);
    for (const each of file.enums) addEnum(symbols, each);
    for (const extension of file.extensions) addExtension(extension);
    for (const service of file.services) addService(symbols, service);
    for (const dependency of file.dependencies) addFile(dependency);
  };
  for (const service of services) addFile(service.file);
  for (const file of extraFiles) addFile(file);
  return {
    serviceNames: [...new Set(services.map((service) => service.typeName))].sort(),
    fileByName: (name) => files.get(name),
    fileBySymbol: (symbol) => symbols.get(symbol.replace(/^\./, "")),
    fileByExtension: (typeName, number) => extensions.get(typeName)?.get(number),
    extensionNumbers: (typeName) =>
      messages.has(typeName) ? [...(extensions.get(typeName)?.keys() ?? [])].sort((a, b) => a - b) : undefined,
    closure: (file) => [...withImports(file)].map((each) => toBinary(FileDescriptorProtoSchema, each.proto)),
  };
}

function addEnum(symbols: Map<string, DescFile>, each: DescEnum): void {
  symbols.set(each.typeName, each.file);
  // The values of an enum are siblings of the enum, not its members.
  const scope = each.typeName.slice(0, each.typeName.lastIndexOf(".") + 1);
  for (const value of each.values) symbols.set(scope + value.name, each.file);
}

function addService(symbols: Map<string, DescFile>, service: DescService): void {
  symbols.set(service.typeName, service.file);
  for (const method of service.methods) symbols.set(`${service.typeName}.${method.name}`, service.file);
}

/** A Set keeps the order of insertion and visits what is added while it is walked. */
function withImports(file: DescFile): Set<DescFile> {
  const closure = new Set([file]);
  for (const each of closure) for (const dependency of each.dependencies) closure.add(dependency);
  return closure;
}
