/**
 * A program without a router, as an application is one: streams an answer, leaves another, and closes its client. It prints what then
 * keeps it alive, and must end by itself. Arguments: where agents are, the model.
 */
import { createDirectClient } from "@drover/client/direct";

const [agents = "", model = ""] = process.argv.slice(2);
const client = createDirectClient({ agents: agents.split(","), connectionPool: { maxConnectionsPerAgent: 3 } });
const messages = [{ role: "user" as const, content: "hello" }];
const { text } = await client.chat({ model, messages }).result();
for await (const _chunk of client.chat({ model, messages })) break;
const watched = (async () => {
  for await (const _change of client.fleet.watch());
})().catch((error: unknown) => (error as { reason?: unknown }).reason);
await client.fleet.listNodes();
await client.close();
const report = { text: text.length > 0, watched: await watched, alive: await left() };
process.send?.(report);
process.disconnect();

/** What is closed goes within a few turns of the event loop; the channel to the test stays. */
async function left(): Promise<readonly string[]> {
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  return process.getActiveResourcesInfo().filter((name) => name !== "PipeWrap");
}
