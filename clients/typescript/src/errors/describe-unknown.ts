/** Names in options that nobody reads: they are misspelt, and must not be ignored. */

/** A sentence for each; `where` is the object's own name, empty for the outermost. */
export function describeUnknown(where: string, given: readonly string[], known: readonly string[]): readonly string[] {
  const prefix = where === "" ? "" : `${where}.`;
  return given
    .filter((name) => !known.includes(name))
    .map((name) => `${prefix}${name} is not known; there are ${known.map((each) => prefix + each).join(", ")}.`);
}
