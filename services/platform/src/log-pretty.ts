/**
 * Turns the log's JSON lines into single readable lines for a terminal: time, level, message, then key=value. It knows the
 * format of log.ts and nothing of its users.
 */

/** Fields that every line has and that people do not read. */
const HIDDEN = new Set(["level", "time", "pid", "name", "msg"]);

const COLORS: Readonly<Record<string, string>> = {
  debug: "\u001b[90m",
  info: "\u001b[36m",
  warn: "\u001b[33m",
  error: "\u001b[31m",
};
const PLAIN = "\u001b[0m";

export function createPrettyDestination(target: { write(text: string): unknown }): { write(line: string): void } {
  return {
    write: (line) => {
      target.write(prettyLine(line));
    },
  };
}

/** One readable line; a line that is not JSON comes back as it is. */
export function prettyLine(line: string): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const level = String(entry["level"]);
  const time = typeof entry["time"] === "number" ? new Date(entry["time"]).toISOString().slice(11, 23) : "";
  const fields = Object.entries(entry)
    .filter(([key]) => !HIDDEN.has(key))
    .map(([key, value]) => `${key}=${prettyValue(value)}`);
  const words = [time, `${COLORS[level] ?? ""}${level.padEnd(5)}${PLAIN}`, String(entry["msg"] ?? ""), ...fields];
  return `${words.join(" ")}\n`;
}

function prettyValue(value: unknown): string {
  if (typeof value === "string") return /^[\w.:/@+-]+$/.test(value) ? value : JSON.stringify(value);
  if (typeof value === "object" && value !== null && "message" in value) return JSON.stringify(value.message);
  return JSON.stringify(value) ?? "";
}
