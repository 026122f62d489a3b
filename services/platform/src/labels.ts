/**
 * Labels of a node and of a call: `gpu=a100,zone=eu`. Owns their one spelling, for flags and for metadata alike.
 */

export type Labels = ReadonlyMap<string, string>;

/** More labels than anybody tells nodes apart by; a caller's header is compared against every node, so it is bounded. */
export const MAX_LABELS = 32;

const KEY = /^[A-Za-z0-9]([A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/;
const VALUE = /^[^\s,=]{1,255}$/;

/** The labels, or one sentence on what is wrong with them. Empty text is no labels. */
export function parseLabels(text: string): Labels | { readonly problem: string } {
  const labels = new Map<string, string>();
  if (text.trim() === "") return labels;
  for (const part of text.split(",")) {
    const equals = part.indexOf("=");
    const key = part.slice(0, Math.max(equals, 0)).trim();
    const value = part.slice(equals + 1).trim();
    if (equals < 0) return { problem: `"${part.trim()}" is not key=value` };
    if (!KEY.test(key)) return { problem: `"${key}" is not a label key (1-63 letters, digits, . _ - /)` };
    if (!VALUE.test(value))
      return { problem: `the value of "${key}" must be 1-255 characters without space, comma or =` };
    if (labels.has(key)) return { problem: `"${key}" is given twice` };
    labels.set(key, value);
    if (labels.size > MAX_LABELS) return { problem: `more than ${MAX_LABELS} labels` };
  }
  return labels;
}

export function isLabels(parsed: Labels | { readonly problem: string }): parsed is Labels {
  return parsed instanceof Map;
}

/** `a=b,c=d` in the order in which they were given. */
export function formatLabels(labels: Labels): string {
  return Array.from(labels, ([key, value]) => `${key}=${value}`).join(",");
}
