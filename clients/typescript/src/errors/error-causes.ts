/** What lies under an error: the only place that follows `cause`. */

/** The causes of an error, itself first; some errors are their own cause. */
export function causesOf(error: unknown): readonly Error[] {
  const causes: Error[] = [];
  for (let each = error; each instanceof Error && !causes.includes(each); each = each.cause) causes.push(each);
  return causes;
}

/** The first code of an operating system or of Node among the causes. */
export function codeOf(error: unknown): string | undefined {
  for (const cause of causesOf(error)) {
    if ("code" in cause && typeof cause.code === "string") return cause.code;
  }
  return undefined;
}
