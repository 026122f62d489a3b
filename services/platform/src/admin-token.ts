/** Reads the admin token from its file, with words for the person who named the file. */
import { readFileSync, statSync } from "node:fs";
import { ConfigError } from "./config-error.ts";

/** A token shorter than this can be guessed; a file larger than that is a wrong file. */
const SHORTEST_TOKEN = 16;
const LARGEST_FILE = 4096;

/** The token of `--admin-token-file`, without surrounding space; undefined without the flag. Throws a ConfigError. */
export function readAdminToken(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  const token = readSmallFile(file).trim();
  if (token.length < SHORTEST_TOKEN || !/^[\x21-\x7e]+$/.test(token)) {
    throw new ConfigError(
      `--admin-token-file ${file}: must hold one token of at least ${SHORTEST_TOKEN} printable characters without spaces.`,
    );
  }
  return token;
}

function readSmallFile(file: string): string {
  try {
    if (statSync(file).size <= LARGEST_FILE) return readFileSync(file, "utf8");
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new ConfigError(`--admin-token-file ${file}: cannot be read (${code}).`, { cause: error });
  }
  throw new ConfigError(`--admin-token-file ${file}: larger than ${LARGEST_FILE} bytes, so it is not a token.`);
}
