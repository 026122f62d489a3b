/**
 * Tells those who follow the node's status which of its parts may have changed. It carries no values: they are read when
 * somebody is ready to send them, so changes merge by themselves.
 */

export type StatusPart = "condition" | "inventory" | "load";

export const STATUS_PARTS: readonly StatusPart[] = ["condition", "inventory", "load"];

export interface StatusChanges {
  mark(part: StatusPart): void;
  /** Returns what ends the subscription. Listeners must not throw. */
  subscribe(listener: (part: StatusPart) => void): () => void;
}

export function createStatusChanges(): StatusChanges {
  const listeners = new Set<(part: StatusPart) => void>();
  return {
    mark: (part) => {
      for (const listener of listeners) listener(part);
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
