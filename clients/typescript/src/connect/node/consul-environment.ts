/** Where Consul is and with which token it is asked, from the variables that its own tools read. */
import { readFileSync } from "node:fs";
import { invalidArgument } from "../../errors/drover-error.ts";
import type { ConsulAccess } from "./consul-list.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

const DEFAULT_ADDRESS = "127.0.0.1:8500";

/** `given` is `host:port` from the address; it wins over CONSUL_HTTP_ADDR. */
export function consulAccess(given: string | undefined, env: Environment): ConsulAccess {
  const address = given ?? (env["CONSUL_HTTP_ADDR"] || DEFAULT_ADDRESS);
  const isTls = /^(?:1|t|true)$/i.test(env["CONSUL_HTTP_SSL"] ?? "");
  const text = address.includes("://") ? address : `${isTls ? "https" : "http"}://${address}`;
  if (!/^https?:/i.test(text) || !URL.canParse(text))
    throw invalidArgument(`CONSUL_HTTP_ADDR "${address}" is no http(s) address.`);
  return { url: text.replace(/\/+$/, ""), token: readToken(env) };
}

/** CONSUL_HTTP_TOKEN_FILE wins, as in Consul's own api package. */
function readToken(env: Environment): string | undefined {
  const file = env["CONSUL_HTTP_TOKEN_FILE"];
  const text = (file === undefined || file === "" ? env["CONSUL_HTTP_TOKEN"] : readFile(file))?.trim() ?? "";
  if (text === "") return undefined;
  if (!/^[\x21-\x7e]+$/.test(text)) throw invalidArgument("The token of Consul must be printable and without spaces.");
  return text;
}

function readFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw invalidArgument(`CONSUL_HTTP_TOKEN_FILE cannot be read: ${String(error)}`);
  }
}
