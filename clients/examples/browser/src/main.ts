// The page: connects to a router, lists its models, and shows an answer while it comes. Everything about Drover here is
// `createDroverClient`, `fleet.listModels` and one loop over `chat`.
import { createDroverClient, type DroverClient } from "@drover/client";
import { page } from "./page.ts";
import { seconds, wordsOfError, wordsOfProgress } from "./words.ts";

const DEFAULT_ROUTER = "http://127.0.0.1:50051";

let client: DroverClient | undefined;
let running: AbortController | undefined;

page.router.value = new URLSearchParams(location.search).get("router") ?? DEFAULT_ROUTER;
page.connect.addEventListener("submit", (event) => {
  event.preventDefault();
  void connect();
});
page.ask.addEventListener("submit", (event) => {
  event.preventDefault();
  void ask();
});
page.stop.addEventListener("click", () => running?.abort());
page.prompt.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) page.ask.requestSubmit();
});
// Chromium keeps a page that was left for a minute, with its calls, in case its reader comes back; the node would go on that long.
addEventListener("pagehide", () => running?.abort());
void connect();

async function connect(): Promise<void> {
  const address = page.router.value;
  page.showConnection("waiting", "Connecting …");
  page.showModels([]);
  try {
    client = createDroverClient({ address });
    const models = await client.fleet.listModels({ timeoutMs: 5_000 });
    const names = models.map(({ name }) => name);
    page.showModels(names);
    if (names.length > 0)
      page.showConnection("ready", `Connected: ${names.length} ${names.length === 1 ? "model" : "models"}.`);
    else page.showConnection("failed", "Connected, but no node of this router has a model yet.");
  } catch (error) {
    page.showConnection("failed", await wordsOfError(error, address));
  }
}

async function ask(): Promise<void> {
  if (client === undefined || running !== undefined) return;
  running = new AbortController();
  page.showRunning(true);
  const beganMs = performance.now();
  let isFirst = true;
  const messages = [{ role: "user", content: page.prompt.value }];
  const stream = client.chat(
    { model: page.model.value, messages },
    { signal: running.signal, onProgress: (progress) => page.showProgress(wordsOfProgress(progress)) },
  );
  try {
    for await (const chunk of stream) {
      if (isFirst) {
        isFirst = false;
        page.showFirstToken(seconds(performance.now() - beganMs));
      }
      if (chunk.text !== "") page.append(chunk.text);
      else if (chunk.thinking !== "") page.showProgress("Thinking …");
    }
    page.showResult(await stream.result());
  } catch (error) {
    if (running.signal.aborted) page.showProgress("Stopped. The node has stopped, too.");
    else page.showError(await wordsOfError(error, page.router.value));
  } finally {
    running = undefined;
    page.showRunning(false);
  }
}
