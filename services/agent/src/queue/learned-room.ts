/**
 * How much fits into Ollama's memory, learned from what did not. Ollama tells neither OLLAMA_MAX_LOADED_MODELS nor how much
 * memory it takes for free, but it can be seen to unload one model for another. It knows no models, only counts and bytes.
 */

/** Models that are in memory together. */
export interface Footprint {
  readonly models: number;
  readonly bytes: number;
}

interface Lesson extends Footprint {
  readonly learnedAtMs: number;
}

/**
 * Other programs take memory and give it back, and a model may have been let go for another reason than room: what was
 * learned is tried anew after this time.
 */
const BELIEVED_FOR_MS = 10 * 60_000;

/** The same models take a little more or less each time. */
const TOLERANCE = 0.95;

/** The oldest is forgotten over this. */
const MAX_LESSONS = 16;

export class LearnedRoom {
  readonly #tooMuch: Lesson[] = [];

  /** Whether nothing speaks against it: more models with more bytes than what did not fit will not fit either. */
  fits({ models, bytes }: Footprint, nowMs: number): boolean {
    return !this.#tooMuch.some(
      (lesson) =>
        models >= lesson.models && bytes >= lesson.bytes * TOLERANCE && nowMs - lesson.learnedAtMs < BELIEVED_FOR_MS,
    );
  }

  /** Something had to go for the last one of these. One model alone always fits, as far as room for others decides. */
  learnTooMuch({ models, bytes }: Footprint, nowMs: number): void {
    if (models < 2) return;
    this.#forget((lesson) => lesson.models >= models && lesson.bytes >= bytes);
    this.#tooMuch.push({ models, bytes, learnedAtMs: nowMs });
    if (this.#tooMuch.length > MAX_LESSONS) this.#tooMuch.shift();
  }

  /** These are in memory together, so what says otherwise is wrong. */
  learnFits({ models, bytes }: Footprint): void {
    this.#forget((lesson) => models >= lesson.models && bytes >= lesson.bytes);
  }

  /** Ollama was started anew, perhaps with other settings. */
  clear(): void {
    this.#tooMuch.length = 0;
  }

  #forget(isWrong: (lesson: Lesson) => boolean): void {
    for (let i = this.#tooMuch.length - 1; i >= 0; i--) {
      const lesson = this.#tooMuch[i];
      if (lesson !== undefined && isWrong(lesson)) this.#tooMuch.splice(i, 1);
    }
  }
}
