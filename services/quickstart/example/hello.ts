// Asks the fleet for an answer and prints it as it comes.
import { createDroverClient } from "@drover/client";

const drover = createDroverClient({ address: "127.0.0.1:50051" });
const answer = drover.chat({ model: "llama3.2:1b", messages: [{ role: "user", content: "Say hello." }] });
for await (const { text } of answer) process.stdout.write(text);
await drover.close();
