/**
 * The simulator's own routes, which no Ollama has: `/sim/faults` and `/sim/crash` to break it while it runs,
 * `/sim/requests` to see what came in. None is in the request log, and no fault meets them.
 */
import { faultListSchema } from "../faults.ts";
import { fieldReader, parseBody } from "../http/request-body.ts";
import { modelNotFound, OllamaError } from "../ollama-error.ts";
import type { Exchange, Simulation } from "../simulation.ts";
import { findModel } from "./inference.ts";

export function listFaults({ reply }: Pick<Exchange, "reply">, { faults }: Simulation): void {
  reply.json(200, { faults: faults.list() });
}

/** Replaces all faults by those of the body: `{"faults": [...]}` . */
export function putFaults({ body, reply }: Exchange, simulation: Simulation): void {
  const given = parseBody(body, "Faults");
  const parsed = faultListSchema.safeParse(given["faults"]);
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

/** `{"model": NAME}` kills that model's runner, `{}` Ollama itself; running requests end as they would. */
export function crash({ body, reply }: Exchange, simulation: Simulation): void {
  const requested = fieldReader(body === "" ? {} : parseBody(body, "Crash"), "Crash").text("model");
  if (requested === "") {
    simulation.crash();
    return;
  }
  simulation.scheduler.killRunner(findModel(requested, simulation, modelNotFound(requested)));
  reply.json(200, {});
}

export function listRequests({ reply }: Exchange, { log }: Simulation): void {
  reply.json(200, { requests: log.list() });
}

export function clearRequests({ reply }: Exchange, { log }: Simulation): void {
  log.clear();
  reply.json(200, { requests: [] });
}
