// What the page says: a call's progress and its failures in plain sentences. Knows no element of the page.
import { DroverError, type Progress } from "@drover/client";

export function wordsOfProgress(progress: Progress): string {
  switch (progress.kind) {
    case "queued":
      return progress.position === undefined || progress.position === 0
        ? "Waiting for a node …"
        : `Waiting: ${progress.position} ahead of you …`;
    case "loading":
      return "The node loads the model …";
    case "prefill":
      return "The node reads the prompt …";
    case "retrying":
      return `${progress.node} failed; trying another node …`;
    case "resumed":
      return `The answer goes on from ${progress.node} …`;
  }
}

/** What went wrong, and on the next line what to do about it. */
export async function wordsOfError(error: unknown, router: string): Promise<string> {
  if (!(error instanceof DroverError)) return String(error);
  if (error.reason === "ROUTER_UNREACHABLE") return await wordsOfUnreachable(router);
  const retry = error.retryAfterMs === undefined ? "" : `\nTry again in ${seconds(error.retryAfterMs)}.`;
  return `${error.message}${retry}`;
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 0)} s`;
}

/**
 * To a script a router that is not there and one that refuses the page look the same, by design of CORS. A request whose answer
 * nobody may read (`no-cors`) succeeds at the second one only.
 */
async function wordsOfUnreachable(router: string): Promise<string> {
  const isThere = await fetch(router, { mode: "no-cors" }).then(
    () => true,
    () => false,
  );
  return isThere
    ? `The router at ${router} does not let this page call it.\nStart it with\n--cors-origin ${location.origin}`
    : `No router answers at ${router}.\nStart one, or correct its address above.`;
}
