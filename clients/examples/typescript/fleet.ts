/**
 * Asks about the fleet: its nodes, where the next call would go, and the first thing that it tells of itself.
 *
 *   node fleet.ts [ADDRESS] [MODEL]
 */
import { run } from "./run.ts";

await run("llama3.2:1b", async (client, model) => {
  for (const { name, availability, models } of await client.fleet.listNodes()) {
    process.stdout.write(`${name} is ${availability} with ${models.map((each) => each.name).join(", ")}\n`);
  }
  // A dry run: nothing is sent to any node.
  const { ranking } = await client.fleet.selectNode({ model });
  process.stdout.write(`The next call for ${model} goes to ${ranking[0]?.nodeName ?? "no node"}.\n`);
  for await (const change of client.fleet.watch()) {
    process.stdout.write(`Watching: ${change.kind}\n`);
    break;
  }
});
