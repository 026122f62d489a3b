/**
 * Holds back text that may turn out to be the start of a stop string, and ends the answer before one. As in Ollama's
 * runners, held pieces go out together.
 */

export interface StopFilter {
  /** What may go out now, and whether a stop string was met. */
  push(piece: string): { readonly text: string; readonly isStopped: boolean };
  /** What was held back when the answer ended by itself. */
  flush(): string;
}

export function createStopFilter(stops: readonly string[]): StopFilter {
  const wanted = stops.filter((stop) => stop !== "");
  let held = "";
  return {
    push: (piece) => {
      held += piece;
      const at = firstStop(held, wanted);
      if (at >= 0) {
        const text = held.slice(0, at);
        held = "";
        return { text, isStopped: true };
      }
      if (wanted.some((stop) => endsWithStartOf(held, stop))) return { text: "", isStopped: false };
      const text = held;
      held = "";
      return { text, isStopped: false };
    },
    flush: () => {
      const text = held;
      held = "";
      return text;
    },
  };
}

function firstStop(text: string, stops: readonly string[]): number {
  const found = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
  return found.length === 0 ? -1 : Math.min(...found);
}

function endsWithStartOf(text: string, stop: string): boolean {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return true;
  }
  return false;
}
