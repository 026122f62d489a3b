/**
 * Streams a chat, then says how the call went.
 *
 *   node chat.ts [ADDRESS] [MODEL]
 */
import { run } from "./run.ts";

await run("llama3.2:1b", async (client, model) => {
  const answer = client.chat(
    { model, messages: [{ role: "user", content: "Say hello." }], options: { temperature: 0 } },
    // Calls of one session prefer the node that served the last one; progress is told while nothing comes.
    { session: "example", onProgress: ({ kind }) => process.stderr.write(`(${kind})\n`) },
  );
  for await (const { text } of answer) process.stdout.write(text);

  const { node, generatedTokens, ttftMs } = await answer.result();
  process.stdout.write(`\n${generatedTokens} tokens from ${node}, the first after ${ttftMs} ms\n`);
});
