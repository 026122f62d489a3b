// The elements of index.html and what is shown in them. Knows nothing of routers.
import type { ChatResult } from "@drover/client";

function find<E extends HTMLElement>(id: string, type: new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof type) return found;
  throw new Error(`index.html has no ${type.name} #${id}`);
}

const connection = find("connection", HTMLElement);
const send = find("send", HTMLButtonElement);
const stop = find("stop", HTMLButtonElement);
const model = find("model", HTMLSelectElement);
const progress = find("progress", HTMLElement);
const error = find("error", HTMLElement);
const answer = find("answer", HTMLElement);
const facts = find("facts", HTMLElement);
const fact = {
  node: find("node", HTMLElement),
  firstToken: find("first-token", HTMLElement),
  tokens: find("tokens", HTMLElement),
  speed: find("speed", HTMLElement),
};

export const page = {
  connect: find("connect", HTMLFormElement),
  router: find("router", HTMLInputElement),
  ask: find("ask", HTMLFormElement),
  prompt: find("prompt", HTMLTextAreaElement),
  model,
  stop,

  showConnection(state: "waiting" | "ready" | "failed", words: string): void {
    connection.dataset["state"] = state;
    connection.textContent = words;
  },

  showModels(names: readonly string[]): void {
    model.replaceChildren(...names.map((name) => new Option(name)));
    model.disabled = names.length === 0;
    send.disabled = names.length === 0;
  },

  /** While a call runs only Stop does anything. Its start clears what the last one left; a call that breaks off tells no figures. */
  showRunning(isRunning: boolean): void {
    send.disabled = isRunning;
    stop.disabled = !isRunning;
    answer.ariaBusy = String(isRunning);
    if (!isRunning) {
      for (const element of Object.values(fact)) if (element.textContent === "…") element.textContent = "not told";
      return;
    }
    answer.textContent = "";
    error.hidden = true;
    facts.hidden = true;
    for (const element of Object.values(fact)) element.textContent = "…";
    progress.textContent = "Sent …";
  },

  showProgress(words: string): void {
    progress.textContent = words;
  },

  showFirstToken(words: string): void {
    fact.firstToken.textContent = words;
    facts.hidden = false;
  },

  append(text: string): void {
    if (answer.textContent === "") progress.textContent = "Answering …";
    answer.append(text);
  },

  showResult({ node, generatedTokens, durations }: ChatResult): void {
    const { generationMs = 0 } = durations;
    if (node !== undefined) fact.node.textContent = node;
    fact.tokens.textContent = String(generatedTokens);
    if (generationMs > 0) fact.speed.textContent = `${((generatedTokens * 1000) / generationMs).toFixed(1)} per second`;
    facts.hidden = false;
    progress.textContent = "Done.";
  },

  showError(words: string): void {
    progress.textContent = "Failed.";
    error.textContent = words;
    error.hidden = false;
  },
};
