/** The words in which the queue refuses a call. When it does so is decided elsewhere. */
import { DroverError } from "@drover/platform";

/** A full queue of which nothing is learned moves in seconds. */
const QUEUE_FULL_RETRY_MS = 1_000;

/** `expectedMs`: when a slot for the call would be free; undefined when not known. */
export function queueFull(node: string, model: string, waiting: number, expectedMs: number | undefined): DroverError {
  const message = `The queue of node "${node}" is full: ${waiting} calls wait for it. Try again later, or use another node.`;
  return new DroverError("queue_full", message, {
    facts: { node, model },
    retryAfterMs: expectedMs || QUEUE_FULL_RETRY_MS,
  });
}

export function waitTooLong(node: string, model: string, expectedMs: number, longestMs: number): DroverError {
  const expected = (expectedMs / 1_000).toFixed(1);
  const longest = (longestMs / 1_000).toFixed(1);
  const message = `A slot for model "${model}" on node "${node}" is expected in ${expected} s, and the call can wait ${longest} s. Try again then, allow more time, or use another node.`;
  return new DroverError("wait_exceeded", message, { facts: { node, model }, retryAfterMs: expectedMs });
}
