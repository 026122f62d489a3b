/** The lines that people paste to call the router themselves: for grpcurl, and the example in TypeScript. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export interface TryIt {
  /** `host:port` of the router. */
  readonly address: string;
  /** A chat model of the fleet. */
  readonly model: string;
}

const EXAMPLE = new URL("../example/hello.ts", import.meta.url);
const MODULES = fileURLToPath(new URL("../../../node_modules/", import.meta.url));

/** What the example has in place of address and model. */
const EXAMPLE_ADDRESS = "127.0.0.1:50051";
const EXAMPLE_MODEL = "llama3.2:1b";

export function grpcurlLine({ address, model }: TryIt): string {
  const request = JSON.stringify({ model, messages: [{ role: "user", content: "Say hello." }] });
  return `grpcurl -plaintext -d '${request}' ${address} drover.inference.v1.InferenceService/Chat`;
}

/** A whole file that runs in the folder of the checkout. */
export function typeScriptFile({ address, model }: TryIt): string {
  return readFileSync(EXAMPLE, "utf8").replace(EXAMPLE_ADDRESS, address).replace(EXAMPLE_MODEL, model);
}

/** `npx node` is the Node that npm installed here; where npm has none for a system, the user's own runs this program, too. */
export function nodeCommand(execPath = process.execPath): string {
  return execPath.startsWith(MODULES) ? "npx node" : "node";
}

export function tryItText(tryIt: TryIt): string {
  return `
Call it yourself:

${grpcurlLine(tryIt)}

Or in TypeScript: save this as hello.ts in this folder and run \`${nodeCommand()} hello.ts\`.

${typeScriptFile(tryIt)}`;
}
