/**
 * How a program reaches Consul: the address of `--consul`, and the token as Consul's own tools take it from the environment.
 * It opens no connection. The token leaves this file only through `token()`, so that nobody logs it with a configuration.
 */
import { readFileSync, statSync } from "node:fs";
import { ConfigError } from "./config-error.ts";

/** Where `consul agent` serves its HTTP API unless told otherwise. */
export const CONSUL_HTTP_PORT = 8500;

/** A token is a UUID; anything larger is a wrong file. */
const LARGEST_TOKEN_FILE = 4096;

export interface ConsulAccess {
  /** `http://127.0.0.1:8500`, without a slash at the end; may have a path where Consul stands behind a proxy. */
  readonly url: string;
  /** Asked anew for each request, since a token file may be replaced; undefined where Consul is to be asked without. */
  readonly token: () => string | undefined;
}

/**
 * `CONSUL_HTTP_TOKEN_FILE` wins over `CONSUL_HTTP_TOKEN`, as in Consul's api package. Throws a ConfigError where the file cannot
 * be read now; later the last token that was read stands.
 */
export function consulAccess(url: string, env: Readonly<Record<string, string | undefined>>): ConsulAccess {
  const file = env["CONSUL_HTTP_TOKEN_FILE"];
  if (file === undefined || file === "") {
    const token = checked(env["CONSUL_HTTP_TOKEN"] ?? "", "CONSUL_HTTP_TOKEN");
    return { url, token: () => token };
  }
  let last = readToken(file);
  const token = (): string | undefined => {
    try {
      last = readToken(file);
    } catch {
      // A file that is just being replaced; Consul itself says when the old token is no good.
    }
    return last;
  };
  return { url, token };
}

/** What `--consul` without a value means. CONSUL_HTTP_SSL counts only where the address does not name its scheme, as for `consul` itself. */
export function consulAddressOf(env: Readonly<Record<string, string | undefined>>): string {
  const address = env["CONSUL_HTTP_ADDR"] || `127.0.0.1:${CONSUL_HTTP_PORT}`;
  const isTls = /^(1|t|true)$/i.test(env["CONSUL_HTTP_SSL"] ?? "");
  return isTls && !address.includes("://") ? `https://${address}` : address;
}

function readToken(file: string): string | undefined {
  const place = `CONSUL_HTTP_TOKEN_FILE ${file}`;
  try {
    if (statSync(file).size <= LARGEST_TOKEN_FILE) return checked(readFileSync(file, "utf8"), place);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ConfigError(`${place}: cannot be read (${code}).`, { cause: error });
  }
  throw new ConfigError(`${place}: larger than ${LARGEST_TOKEN_FILE} bytes, so it is not a token.`);
}

/** It becomes the value of an HTTP header, where a line break or a letter beyond ASCII would be refused much later. */
function checked(text: string, place: string): string | undefined {
  const token = text.trim();
  if (token === "") return undefined;
  if (!/^[\x21-\x7e]+$/.test(token))
    throw new ConfigError(`${place}: must hold one token, printable and without spaces.`);
  return token;
}
