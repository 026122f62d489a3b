/**
 * The reference of the contracts: one page for each package, from the descriptors that buf builds, with the comments of the
 * .proto files as they stand there. It decides how a page looks and knows nothing of what the services do.
 */
import {
  createFileRegistry,
  type DescComments,
  type DescEnum,
  type DescField,
  type DescFile,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  ScalarType,
} from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { getComments, getSyntaxComments } from "@bufbuild/protoplugin";
import { anchorOf } from "./markdown.ts";

export interface Page {
  /** Within the folder of the reference: `router.md`. */
  readonly name: string;
  readonly title: string;
  /** The first sentence, for the list of pages. */
  readonly summary: string;
  readonly text: string;
}

/** `image` is what `buf build -o -` writes: descriptors with source information. */
export function protoPages(image: Uint8Array): readonly Page[] {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, image));
  return [...registry.files].filter(isOurs).sort(byName).map(pageOf);
}

const isOurs = (file: DescFile): boolean => file.name.startsWith("drover/");
const byName = (a: DescFile, b: DescFile): number => (a.name < b.name ? -1 : 1);

function pageOf(file: DescFile): Page {
  const about = commentOf(getSyntaxComments(file));
  const parts = [
    ...file.services.map((service) => serviceText(service)),
    ...file.messages.flatMap((message) => messageTexts(message, file)),
    ...file.enums.map(enumText),
  ];
  const head = `# ${file.proto.package}\n\n${about}\n\nWritten from \`proto/${file.name}.proto\` by \`npm run generate\`.\n`;
  return {
    name: pageNameOf(file),
    title: file.proto.package,
    summary: about.split(/(?<=\.)\s/)[0] ?? "",
    text: `${head}\n${parts.join("\n")}`,
  };
}

/** `drover/router/v1/router` is router.md. */
function pageNameOf(file: DescFile): string {
  return `${file.name.split("/").at(-1)}.md`;
}

function serviceText(service: DescService): string {
  const rows = service.methods.map((method) => row([methodCell(method), cellOf(getComments(method))]));
  const comment = paragraphOf(getComments(service));
  return `## ${service.name}\n${comment}\n${table(["RPC", "meaning"], rows)}`;
}

function methodCell({ name, input, output, methodKind, parent }: DescMethod): string {
  const isRequestStream = methodKind === "client_streaming" || methodKind === "bidi_streaming";
  const isResponseStream = methodKind === "server_streaming" || methodKind === "bidi_streaming";
  const typeOf = (message: DescMessage, isStream: boolean): string =>
    `${isStream ? "stream of " : ""}${linkTo(message, parent.file)}`;
  return `**${name}**<br>${typeOf(input, isRequestStream)}<br>→ ${typeOf(output, isResponseStream)}`;
}

function messageTexts(message: DescMessage, file: DescFile): string[] {
  const rows = message.fields.flatMap((field) => [
    ...getComments(field).leadingDetached.map((text) => row(["", "", "", `*${oneLine(text)}*`])),
    row([`\`${field.name}\``, String(field.number), typeCell(field, file), cellOf(getComments(field))]),
  ]);
  const body = rows.length === 0 ? "No fields.\n" : table(["field", "no.", "type", "meaning"], rows);
  const text = `## ${message.name}\n${paragraphOf(getComments(message))}\n${body}`;
  return [text, ...message.nestedMessages.flatMap((nested) => messageTexts(nested, file))];
}

function enumText(desc: DescEnum): string {
  const rows = desc.values.map((value) => row([`\`${value.name}\``, String(value.number), cellOf(getComments(value))]));
  return `## ${desc.name}\n${paragraphOf(getComments(desc))}\n${table(["value", "no.", "meaning"], rows)}`;
}

function typeCell(field: DescField, from: DescFile): string {
  const oneof = field.oneof === undefined ? "" : `, one of \`${field.oneof.name}\``;
  const optional = field.proto.proto3Optional ? "optional " : "";
  return `${optional}${typeText(field, from)}${oneof}`;
}

function typeText(field: DescField, from: DescFile): string {
  switch (field.fieldKind) {
    case "scalar":
      return scalarName(field.scalar);
    case "message":
      return linkTo(field.message, from);
    case "enum":
      return linkTo(field.enum, from);
    case "list":
      return `repeated ${elementText(field, from)}`;
    case "map":
      return `map of ${scalarName(field.mapKey)} to ${elementText(field, from, field.mapKind)}`;
  }
}

function elementText(
  field: DescField & { fieldKind: "list" | "map" },
  from: DescFile,
  kind = field.fieldKind === "list" ? field.listKind : field.mapKind,
): string {
  if (kind === "message" && field.message !== undefined) return linkTo(field.message, from);
  if (kind === "enum" && field.enum !== undefined) return linkTo(field.enum, from);
  return field.scalar === undefined ? "" : scalarName(field.scalar);
}

const scalarName = (scalar: ScalarType): string => ScalarType[scalar].toLowerCase();

/** To where a type is told; those of others are named alone. */
function linkTo(type: DescMessage | DescEnum, from: DescFile): string {
  if (!isOurs(type.file)) return `\`${type.typeName}\``;
  const page = type.file.name === from.name ? "" : pageNameOf(type.file);
  return `[${type.name}](${page}#${anchorOf(type.name)})`;
}

function commentOf({ leading, trailing }: DescComments): string {
  const lines = `${leading ?? ""}\n${trailing ?? ""}`.split("\n").map((line) => line.replace(/^ /, ""));
  return lines.join("\n").trim();
}

const paragraphOf = (comments: DescComments): string => {
  const text = commentOf(comments);
  return text === "" ? "" : `\n${text}\n`;
};

const cellOf = (comments: DescComments): string => oneLine(commentOf(comments));

/** A paragraph of a comment has no place in a cell but as a break. */
function oneLine(text: string): string {
  const paragraphs = text.trim().split(/\n\s*\n/);
  return paragraphs.map((each) => each.replace(/\s*\n\s*/g, " ").replaceAll("|", "\\|")).join("<br>");
}

function table(headings: readonly string[], rows: readonly string[]): string {
  return `${row(headings)}${row(headings.map(() => "---"))}${rows.join("")}`;
}

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |\n`;
