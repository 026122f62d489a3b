/** Looks whether an Ollama answers at an address, and says in plain words why not. It knows nothing of agents. */

export type OllamaProbe =
  | { readonly kind: "answers"; readonly url: string; readonly version: string }
  /** `why` finishes the sentence "No Ollama answered at URL (…)". */
  | { readonly kind: "silent"; readonly url: string; readonly why: string };

/** An Ollama on a busy machine answers this within milliseconds; a firewall that drops packets never does. */
const ANSWER_LIMIT_MS = 2_000;

const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection closed",
  UND_ERR_SOCKET: "connection closed",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name cannot be resolved",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
};

/** `url` is a base URL without a slash at its end. Never rejects. */
export async function probeOllama(url: string, limitMs = ANSWER_LIMIT_MS): Promise<OllamaProbe> {
  try {
    const response = await fetch(`${url}/api/version`, { signal: AbortSignal.timeout(limitMs) });
    const body: unknown = await response.json().catch(() => undefined);
    const version = typeof body === "object" && body !== null && "version" in body ? body.version : undefined;
    if (typeof version === "string") return { kind: "answers", url, version };
    return { kind: "silent", url, why: `something else answers there, HTTP ${response.status}` };
  } catch (error) {
    return { kind: "silent", url, why: whyNot(error, limitMs) };
  }
}

function whyNot(error: unknown, limitMs: number): string {
  if (error instanceof Error && error.name === "TimeoutError") return `no answer within ${limitMs / 1000} s`;
  const code = codeOf(error);
  return code === undefined ? "no answer" : (WORDS[code] ?? code);
}

/** fetch hides the system's error in `cause`, or in the list of an AggregateError below it. */
function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  if (error instanceof AggregateError) return codeOf(error.errors[0]);
  return codeOf(error.cause);
}
