/** Sends one prompt through the router and shows what comes, as a caller would. It chooses nothing. */
import { type CallOptions, type Client, ConnectError } from "@connectrpc/connect";
import { type Clock, META } from "@drover/platform";
import type { ChatResponse, InferenceService } from "@drover/proto/drover/inference/v1/inference_pb";
import type { SampleModel } from "./sample-model.ts";

export const SAMPLE_PROMPT = "In one sentence: what does a drover do?";

/** Long enough for a sentence, short enough for a model that does not stop. */
const LONGEST_ANSWER_TOKENS = 80;

/** A model of 4 GB from a slow disk is loaded in this time. */
const LIMIT_MS = 120_000;

export interface SampleSurroundings {
  readonly client: Client<typeof InferenceService>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly print: (text: string) => void;
}

/** Prints prompt, answer and one line on what happened, or one on why there is no answer. Never rejects. */
export async function sendSample(
  model: SampleModel,
  { client, clock, signal, print }: SampleSurroundings,
): Promise<void> {
  const startMs = clock.nowMs();
  let firstTokenMs: number | undefined;
  let trailers = new Headers();
  let shown = "";
  print(`\n${model.name} < ${SAMPLE_PROMPT}\n`);
  try {
    const options: CallOptions = { signal, timeoutMs: LIMIT_MS, onTrailer: (received) => (trailers = received) };
    for await (const response of client.chat(requestFor(model), options)) {
      const text = textOf(response, shown);
      if (text === "") continue;
      if (isToken(response)) firstTokenMs ??= clock.nowMs() - startMs;
      shown += text;
      print(text);
    }
    print(`\n\n${story(trailers, firstTokenMs)}\n`);
  } catch (error) {
    if (!signal.aborted) print(`\nNo answer: ${ConnectError.from(error).rawMessage}\n`);
  }
}

function requestFor(model: SampleModel) {
  return {
    model: model.name,
    messages: [{ role: "user", content: SAMPLE_PROMPT }],
    options: { numPredict: LONGEST_ANSWER_TOKENS },
    ...(model.canThink ? { think: { kind: { case: "enabled" as const, value: false } } } : {}),
  };
}

function isToken({ event }: ChatResponse): boolean {
  return event.case === "chunk" || event.case === "done";
}

/** Thoughts are shown as well: some models do not stop thinking when asked. */
function textOf({ event }: ChatResponse, shown: string): string {
  switch (event.case) {
    case "progress":
      return event.value.kind.case === "loading" && shown === "" ? "(loading the model)\n" : "";
    case "chunk":
    case "done":
      return `${event.value.message?.thinking ?? ""}${event.value.message?.content ?? ""}`;
    case undefined:
      return "";
  }
}

/** "sim-fast answered on attempt 1; first token after 412 ms." */
function story(trailers: Headers, measuredMs: number | undefined): string {
  const attempts = Number(trailers.get(META.attempts) ?? "1");
  const ttftMs = trailers.get(META.ttftMs) ?? measuredMs?.toFixed(0);
  const node = trailers.get(META.node) ?? "A node";
  const first = ttftMs === undefined ? "it had nothing to say" : `first token after ${ttftMs} ms`;
  return `${node} answered; ${attempts} attempt${attempts === 1 ? "" : "s"}, ${first}.`;
}
