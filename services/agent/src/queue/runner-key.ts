/**
 * What makes two calls share a runner: the model and its load-time options. It does not know what is loaded.
 */

/** A model with one set of load-time options, as calls ask for it. */
export interface RunnerSpec {
  /** Equal keys mean the same runner. */
  readonly key: string;
  /** The model's canonical key; two runners with the same one cannot be loaded at once. */
  readonly modelKey: string;
  /** The model's name as it stands on disk. */
  readonly model: string;
  /** Canonical JSON of the load-time options; empty for the model's default runner. */
  readonly optionsJson: string;
  /** Loaded by embedding nothing instead of by an empty prompt; has one slot, whatever --slots says. */
  readonly isEmbedding: boolean;
}

export function runnerSpec(fields: Omit<RunnerSpec, "key">): RunnerSpec {
  return { ...fields, key: fields.optionsJson === "" ? fields.modelKey : `${fields.modelKey} ${fields.optionsJson}` };
}

/** The context that `spec` asks for, and the runner that asks for none but is the same else; undefined when it asks for none. */
export function withoutContext(
  spec: RunnerSpec,
): { readonly contextLength: unknown; readonly base: RunnerSpec } | undefined {
  if (spec.optionsJson === "") return undefined;
  const { num_ctx: contextLength, ...rest } = JSON.parse(spec.optionsJson) as Record<string, unknown>;
  if (contextLength === undefined) return undefined;
  const optionsJson = Object.keys(rest).length === 0 ? "" : JSON.stringify(rest);
  return { contextLength, base: runnerSpec({ ...spec, optionsJson }) };
}
