/** Finds what somebody probably meant: the known names nearest to a wrong one. */

/** Longer texts are no typing errors, and the comparison costs length × length. */
const LONGEST_COMPARED = 100;

/** At most `limit` of `names`, nearest first, whose distance is small enough to be a typing error, or that contain `sought`. */
export function nearestNames(sought: string, names: Iterable<string>, limit = 3): string[] {
  const wanted = sought.toLowerCase().slice(0, LONGEST_COMPARED);
  const tolerated = Math.max(1, Math.floor(wanted.length / 3));
  return Array.from(names, (name) => ({ name, distance: distanceOf(wanted, name.toLowerCase()) }))
    .filter(({ distance }) => distance <= tolerated)
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1))
    .slice(0, limit)
    .map(({ name }) => name);
}

/** Levenshtein's distance; 1 where one text contains the other. */
function distanceOf(wanted: string, name: string): number {
  if (wanted.length >= 3 && (name.includes(wanted) || (name.length >= 3 && wanted.includes(name)))) {
    return name === wanted ? 0 : 1;
  }
  let previous = Array.from({ length: name.length + 1 }, (_, index) => index);
  for (const [row, character] of [...wanted].entries()) {
    const current = [row + 1];
    for (let column = 0; column < Math.min(name.length, LONGEST_COMPARED); column++) {
      const replaced = (previous[column] ?? 0) + (name[column] === character ? 0 : 1);
      current.push(Math.min(replaced, (previous[column + 1] ?? 0) + 1, (current[column] ?? 0) + 1));
    }
    previous = current;
  }
  return previous.at(-1) ?? wanted.length;
}
