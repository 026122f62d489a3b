/**
 * Asks for an answer of a certain shape, and gets it checked and typed.
 *
 *   node structured.ts [ADDRESS] [MODEL]
 */
import { z } from "zod";
import { run } from "./run.ts";

const Animal = z.object({ name: z.string(), legs: z.number() });

await run("llama3.2:1b", async (client, model) => {
  const { parsed } = await client.generate({ model, prompt: "An animal, as JSON.", format: Animal }).result();
  process.stdout.write(`${parsed.name} has ${parsed.legs} legs.\n`);
});
