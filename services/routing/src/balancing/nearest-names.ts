/**
 * "Did you mean": the known names that are closest to one that nobody has.
 */

/** Names are at most a few hundred characters and edit distance is quadratic; longer ones are compared by their beginning. */
const COMPARED_LENGTH = 64;
/** Names looked at; a fleet with more distinct models gets suggestions from the first ones. */
const NAMES_MAX = 2_000;

/** At most `limit` names, best first; only those that share the base name or differ in under half of their letters. */
export function nearestNames(wanted: string, known: Iterable<string>, limit: number): readonly string[] {
  const target = comparable(wanted);
  const scored: { name: string; distance: number }[] = [];
  for (const name of known) {
    if (scored.length >= NAMES_MAX) break;
    const candidate = comparable(name);
    const isSameBase = baseOf(candidate) === baseOf(target) || candidate.startsWith(target);
    const distance = isSameBase ? 0 : editDistance(target, candidate);
    if (distance * 2 < Math.max(target.length, candidate.length)) scored.push({ name, distance });
  }
  scored.sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1));
  return scored.slice(0, limit).map((entry) => entry.name);
}

function comparable(name: string): string {
  return name.toLowerCase().slice(0, COMPARED_LENGTH);
}

function baseOf(name: string): string {
  return name.split(":")[0] ?? name;
}

/** Levenshtein's distance with one row. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
