/**
 * Stops an answer half-way. Leaving the loop is enough: the router tells the node, and the node stops its Ollama.
 *
 *   node cancel.ts [ADDRESS] [MODEL]
 */
import { run } from "./run.ts";

await run("llama3.2:1b", async (client, model) => {
  let pieces = 0;
  for await (const { text } of client.generate({ model, prompt: "Tell me a long story." })) {
    process.stdout.write(text);
    pieces += 1;
    if (pieces === 5) break;
  }
  // From outside of the loop: `answer.cancel()`, or an AbortSignal as `signal` in the options.
  process.stdout.write(`\nStopped after 5 pieces; the router is ${await client.health()}.\n`);
});
