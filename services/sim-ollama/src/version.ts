/** The version of this simulator, from its package; not the version of Ollama that it claims to be. */
import manifest from "../package.json" with { type: "json" };

export const VERSION: string = manifest.version;
