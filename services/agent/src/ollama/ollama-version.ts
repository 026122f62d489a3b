/** What Ollama's version tells of its behaviour, where nothing else does. */

/**
 * Since 0.30 models run in llama-server, which stops between two batches when its caller is gone; the runner before it reads a
 * prompt to its end (github.com/ollama/ollama/issues/11889). Builds from source say 0.0.0: taken for the older.
 */
export function doesPrefillOutliveCancel(version: string): boolean {
  const [, major, minor] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major ?? 0) === 0 && Number(minor ?? 0) < 30;
}
