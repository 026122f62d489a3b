/**
 * Refuses values that are not of the contract's types, by their names, before anything is sent. Types do the same for TypeScript;
 * this is for JavaScript and for numbers that no type tells apart. Without it protobuf-es writes an object as "[object Object]",
 * drops names that it does not know, and fails on a fraction while the call is under way, which looks like a lost connection.
 */
import { type DescField, type DescMessage, type MessageInitShape, ScalarType } from "@bufbuild/protobuf";
import { invalidArgument } from "../errors/drover-error.ts";

const INT32_MAX = 2 ** 31 - 1;

/** `init` itself. Throws a DroverError that names the field. */
export function checked<Desc extends DescMessage>(desc: Desc, init: MessageInitShape<Desc>): MessageInitShape<Desc> {
  checkFields(desc, init, "");
  return init;
}

function checkFields(desc: DescMessage, init: object, path: string): void {
  for (const [name, value] of Object.entries(init)) {
    const field = desc.field[name];
    // Oneofs and absent fields are made here, not by callers.
    if (value === undefined || value === null || desc.oneofs.some(({ localName }) => localName === name)) continue;
    if (field === undefined)
      throw invalidArgument(`${path}${name} is not known; what Ollama has beside goes into \`extra\`.`);
    checkField(field, value, `${path}${name}`);
  }
}

function checkField(field: DescField, value: unknown, path: string): void {
  switch (field.fieldKind) {
    case "scalar":
      checkScalar(field.scalar, value, path);
      return;
    case "list":
      if (!Array.isArray(value)) throw wrong(path, "a list", value);
      for (const [index, each] of value.entries()) {
        if (field.listKind === "scalar") checkScalar(field.scalar, each, `${path}[${index}]`);
        if (field.listKind === "message") checkFields(field.message, each as object, `${path}[${index}].`);
      }
      return;
    case "message":
      if (!field.message.typeName.startsWith("google.")) checkFields(field.message, value as object, `${path}.`);
      return;
    default:
  }
}

function checkScalar(type: ScalarType, value: unknown, path: string): void {
  switch (type) {
    case ScalarType.INT32:
      if (!Number.isInteger(value) || Math.abs(value as number) > INT32_MAX) throw wrong(path, "a whole number", value);
      return;
    case ScalarType.FLOAT:
    case ScalarType.DOUBLE:
      if (typeof value !== "number") throw wrong(path, "a number", value);
      return;
    case ScalarType.BOOL:
      if (typeof value !== "boolean") throw wrong(path, "true or false", value);
      return;
    case ScalarType.STRING:
      if (typeof value !== "string") throw wrong(path, "text", value);
      return;
    default:
  }
}

/** Never the value of a text: it may be a prompt. */
function wrong(path: string, expected: string, value: unknown) {
  const given = typeof value === "number" ? String(value) : Array.isArray(value) ? "a list" : typeof value;
  return invalidArgument(`${path} must be ${expected}, not ${given}.`);
}
