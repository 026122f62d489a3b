/** Where a local Ollama answers, by Ollama's own reading of OLLAMA_HOST. */

const DEFAULT_PORT = 11_434;

/**
 * The base URL that OLLAMA_HOST names (`0.0.0.0`, `gpu:1234`, `https://ollama.example/base`, …); the local default when it is
 * absent or empty. A wildcard address means this machine: it says where Ollama listens, and nobody can connect to it.
 * Undefined when it is no address.
 */
export function ollamaHostUrl(ollamaHost: string | undefined): string | undefined {
  const text = (ollamaHost ?? "").trim().replace(/^["']|["']$/g, "");
  if (text === "") return `http://127.0.0.1:${DEFAULT_PORT}`;
  const scheme = /^(https?):\/\//i.exec(text)?.[1]?.toLowerCase();
  // Read without a scheme, `ftp://gpu` would be a host named ftp.
  if (scheme === undefined && text.includes("://")) return undefined;
  const rest = text.replace(/^https?:\/\//i, "");
  // `:1234` is a port on this machine; a bare IPv6 address has several colons and no brackets.
  const named = /^:\d/.test(rest)
    ? `127.0.0.1${rest}`
    : rest.replace(/^([0-9a-f]*:[0-9a-f]*:[0-9a-f:.]*)(?=\/|$)/i, "[$1]");
  const url = URL.parse(`${scheme ?? "http"}://${named}`);
  if (url === null || url.hostname === "") return undefined;
  if (url.hostname === "0.0.0.0") url.hostname = "127.0.0.1";
  if (url.hostname === "[::]") url.hostname = "[::1]";
  // With a scheme its own default port counts, as in Ollama. URL hides a port that was written and is the default of http.
  const hasPort = /:\d+$/.test(named.split("/", 1)[0] ?? "");
  if (!hasPort && scheme === undefined) url.port = String(DEFAULT_PORT);
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}
