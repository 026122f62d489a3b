/**
 * Reads images from disk, in Node.
 */
import { readFile, stat } from "node:fs/promises";
import { invalidArgument } from "../errors/drover-error.ts";

/** A router takes no larger request. */
const BYTES_MAX = 64 * 1024 * 1024;

/** Throws a DroverError that names the file. */
export async function readImageFile(file: string | URL): Promise<Uint8Array> {
  try {
    const { size } = await stat(file);
    if (size <= BYTES_MAX) return await readFile(file);
  } catch (cause) {
    const words = cause instanceof Error ? cause.message : String(cause);
    throw invalidArgument(`The image "${String(file)}" cannot be read: ${words}`, cause);
  }
  throw invalidArgument(`The image "${String(file)}" is over 64 MiB, which no request may be.`);
}
