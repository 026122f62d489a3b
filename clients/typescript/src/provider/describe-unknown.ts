/** Names in a configuration that nobody reads: they are misspelt, and must not be ignored. */

/** Of a provider's configuration, over a router and without one. */
export const CONFIG_NAMES = ["discovery", "loadBalancing", "healthCheck", "security", "connectionPool"];

/** A sentence for each; `where` is the object's own name, empty for the whole configuration. */
export function describeUnknown(where: string, given: readonly string[], known: readonly string[]): readonly string[] {
  const prefix = where === "" ? "" : `${where}.`;
  return given
    .filter((name) => !known.includes(name))
    .map((name) => `${prefix}${name} is not known; there are ${known.map((each) => prefix + each).join(", ")}.`);
}
