/** Lists names in a sentence for people, and no more of them than fit: messages are at most 1 KiB. */

/** Names before "and N more". */
export const LISTED_MAX = 5;

/** "a, b", "a, b, c, d, e and 3 more"; "none" for an empty list. */
export function listed(items: readonly string[]): string {
  if (items.length === 0) return "none";
  if (items.length <= LISTED_MAX) return items.join(", ");
  return `${items.slice(0, LISTED_MAX).join(", ")} and ${items.length - LISTED_MAX} more`;
}
