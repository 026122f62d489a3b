/** What the examples share: a client of the address on the command line, and a failure told in words. */
import { createDroverClient, type DroverClient, DroverError } from "@drover/client";

/** Runs an example with a client and the model named second, or `defaultModel`. */
export async function run(
  defaultModel: string,
  example: (client: DroverClient, model: string) => Promise<void>,
): Promise<void> {
  const [address = "127.0.0.1:50051", model = defaultModel] = process.argv.slice(2);
  const client = createDroverClient({ address });
  try {
    await example(client, model);
  } catch (error) {
    if (!(error instanceof DroverError)) throw error;
    process.stderr.write(`${explain(error, address)}\n`);
    process.exitCode = 1;
  } finally {
    await client.close();
  }
}

/** `reason` is a literal: the editor completes it, and says so when it is misspelt. */
function explain(error: DroverError, address: string): string {
  if (error.reason === "ROUTER_UNREACHABLE") return `No router answers at ${address}. Start one with: npm start`;
  const again = error.retryAfterMs === undefined ? "" : ` Try again in ${error.retryAfterMs} ms.`;
  return `${error.status} (${error.reason}): ${error.message}${again}`;
}
