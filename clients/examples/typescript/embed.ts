/**
 * Turns texts into vectors and compares them.
 *
 *   node embed.ts [ADDRESS] [MODEL]
 */
import { run } from "./run.ts";

const texts = ["a sheep", "a herd of sheep", "a tax return"];

await run("nomic-embed-text", async (client, model) => {
  const { embeddings, node } = await client.embed({ model, input: texts });
  const [first = [], ...others] = embeddings;
  for (const [index, other] of others.entries()) {
    // The vectors have length 1, so their product is the cosine.
    const cosine = other.reduce((sum, value, at) => sum + value * (first[at] ?? 0), 0);
    process.stdout.write(`${texts[0]} ~ ${texts[index + 1]}: ${cosine.toFixed(3)}\n`);
  }
  process.stdout.write(`from ${node}\n`);
});
