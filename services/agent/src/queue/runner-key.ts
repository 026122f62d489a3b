/**
 * What makes two calls share a runner: the model's weights and the load-time options. It does not know what is loaded.
 */

/** A model with one set of load-time options, as calls ask for it. */
export interface RunnerSpec {
  /** Equal keys mean the same runner. */
  readonly key: string;
  /** Equal to `key` but for the context, which Ollama chooses where none is named. */
  readonly contextFreeKey: string;
  /** The context that is asked for, by the caller or by the model's own parameters; undefined: Ollama's choice. */
  readonly contextLength: unknown;
  /**
   * What the model's runners have in common, so that only one of them is in memory: Ollama keeps one runner for each file of
   * weights (server/sched.go), also when several models are made of it.
   */
  readonly weightsKey: string;
  /** The model's name as it stands on disk. */
  readonly model: string;
  /** Canonical JSON of the load-time options of the caller's; empty for the model's default runner. */
  readonly optionsJson: string;
  /** Loaded by embedding nothing instead of by an empty prompt; has one slot, whatever --slots says. */
  readonly isEmbedding: boolean;
  /** What the model takes on disk: the least that it takes in memory. 0 when not known. */
  readonly sizeBytes: number;
}

export interface RunnerWish {
  readonly weightsKey: string;
  readonly model: string;
  readonly optionsJson: string;
  readonly isEmbedding: boolean;
  readonly sizeBytes?: number;
  /** Canonical JSON of the load-time options that the model itself brings along; the caller's stand over them. */
  readonly modelOptionsJson?: string;
}

export function runnerSpec({ modelOptionsJson = "", sizeBytes = 0, ...wish }: RunnerWish): RunnerSpec {
  const { num_ctx: contextLength, ...others } = { ...parse(modelOptionsJson), ...parse(wish.optionsJson) };
  const contextFreeKey = keyOf(wish.weightsKey, others);
  const key =
    contextLength === undefined ? contextFreeKey : keyOf(wish.weightsKey, { ...others, num_ctx: contextLength });
  return { ...wish, sizeBytes, key, contextFreeKey, contextLength };
}

function parse(optionsJson: string): Record<string, unknown> {
  return optionsJson === "" ? {} : (JSON.parse(optionsJson) as Record<string, unknown>);
}

function keyOf(weightsKey: string, options: Record<string, unknown>): string {
  const names = Object.keys(options).sort();
  return names.length === 0 ? weightsKey : `${weightsKey} ${JSON.stringify(options, names)}`;
}
