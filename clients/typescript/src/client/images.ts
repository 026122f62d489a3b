/**
 * Images as callers have them, as the bytes that the contract carries. Files are read by a function that only the entry for Node
 * has, and only when a call is sent.
 */
import { invalidArgument } from "../errors/drover-error.ts";

/** A whole image file (PNG, JPEG, WebP). A string is a path, a URL a `file:` URL; both can be read in Node only. */
export type ImageInput = Uint8Array | ArrayBuffer | Blob | string | URL;

/** Reads an image from disk; throws a DroverError that names the file. */
export type ReadImageFile = (file: string | URL) => Promise<Uint8Array>;

/** Undefined without images. */
export async function readImages(
  images: readonly ImageInput[] | undefined,
  readFile: ReadImageFile | undefined,
): Promise<Uint8Array[] | undefined> {
  if (images === undefined || images.length === 0) return undefined;
  return Promise.all(images.map((image) => readImage(image, readFile)));
}

async function readImage(image: ImageInput, readFile: ReadImageFile | undefined): Promise<Uint8Array> {
  if (image instanceof Uint8Array) return image;
  if (image instanceof ArrayBuffer) return new Uint8Array(image);
  if (image instanceof Blob) return new Uint8Array(await image.arrayBuffer());
  if (typeof image !== "string" && !(image instanceof URL)) {
    throw invalidArgument("An image must be a Uint8Array, an ArrayBuffer, a Blob, or in Node a path or file URL.");
  }
  if (readFile === undefined)
    throw invalidArgument("Images can be read from a path in Node only: pass bytes or a Blob.");
  return readFile(image);
}
