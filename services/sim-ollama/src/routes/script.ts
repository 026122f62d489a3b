/**
 * The simulator's own routes, which no Ollama has: `/sim/faults` to break it while it runs and `/sim/requests` to see
 * what came in. Neither is in the request log, and no fault meets them.
 */
import { faultListSchema } from "../faults.ts";
import { isObject, parseBody } from "../http/request-body.ts";
import { OllamaError } from "../ollama-error.ts";
import type { Exchange, Simulation } from "../simulation.ts";

export function listFaults({ reply }: Pick<Exchange, "reply">, { faults }: Simulation): void {
  reply.json(200, { faults: faults.list() });
}

/** Replaces all faults by those of the body: `{"faults": [...]}` . */
export function putFaults({ body, reply }: Exchange, simulation: Simulation): void {
  const given = parseBody(body, "Faults");
  const parsed = faultListSchema.safeParse(isObject(given) ? given["faults"] : undefined);
  if (!parsed.success) {
    const words = parsed.error.issues.map((issue) => `${issue.path.join(".") || "faults"}: ${issue.message}`);
    throw new OllamaError(400, `not a list of faults: ${words.join("; ")}`);
  }
  simulation.faults.replace(parsed.data);
  listFaults({ reply }, simulation);
}

export function clearFaults({ reply }: Exchange, { faults }: Simulation): void {
  faults.replace([]);
  reply.json(200, { faults: [] });
}

export function listRequests({ reply }: Exchange, { log }: Simulation): void {
  reply.json(200, { requests: log.list() });
}

export function clearRequests({ reply }: Exchange, { log }: Simulation): void {
  log.clear();
  reply.json(200, { requests: [] });
}
