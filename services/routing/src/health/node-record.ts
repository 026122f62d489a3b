/** What health remembers of one node: the node itself, and each model on it that calls have asked for. */
import type { HealthOptions } from "./health-options.ts";
import { Subject } from "./subject.ts";

export interface NodeRecord {
  readonly node: Subject;
  /** By model key. */
  readonly models: Map<string, Subject>;
}

/** Made when it is new. */
export function modelOf(record: NodeRecord, modelKey: string, options: HealthOptions): Subject {
  const known = record.models.get(modelKey);
  if (known !== undefined) return known;
  const subject = new Subject(options);
  record.models.set(modelKey, subject);
  return subject;
}
