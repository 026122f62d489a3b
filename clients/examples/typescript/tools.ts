/**
 * Lets a model call a function: the tool goes out with a schema, its arguments come back parsed and typed.
 *
 *   node tools.ts [ADDRESS] [MODEL]
 */
import { z } from "zod";
import { run } from "./run.ts";

const weather = {
  name: "get_weather",
  description: "The weather in a city now.",
  parameters: z.object({ city: z.string() }),
};

await run("llama3.2:1b", async (client, model) => {
  const question = { role: "user", content: "What is the weather in Paris? Use get_weather." };
  const asked = await client.chat({ model, messages: [question], tools: [weather] }).result();
  const messages = [question, asked.message];

  for (const call of asked.toolCalls) {
    process.stdout.write(`The model asks for ${call.name} with ${JSON.stringify(call.arguments)}.\n`);
    // `call.arguments` has the type { city: string }.
    const content = `It rains in ${call.arguments.city}.`;
    messages.push({ role: "tool", toolName: call.name, content });
  }
  const answer = client.chat({ model, messages, tools: [weather] });
  process.stdout.write(`${await answer.text()}\n`);
});
