/** The program `drover-sim-ollama`: reads its flags, runs until it is told to stop, says what it does in one line. */
import { readCommandLine } from "./command-line.ts";
import { createSimOllama, type SimOllama, type SimOllamaOptions } from "./sim-ollama.ts";

const commandLine = readCommandLine(process.argv.slice(2));
switch (commandLine.kind) {
  case "help":
    process.stdout.write(commandLine.text);
    break;
  case "wrong":
    refuse(commandLine.sentence);
    break;
  case "run":
    await run(commandLine.options);
    break;
}

async function run(options: SimOllamaOptions): Promise<void> {
  let ollama: SimOllama;
  try {
    ollama = await createSimOllama(options);
  } catch (error) {
    return refuse(whyNot(error, options));
  }
  const names = options.models.map((model) => (typeof model === "string" ? model : model.name)).join(", ");
  process.stdout.write(`drover-sim-ollama: simulated Ollama ready at http://${ollama.address} with ${names}\n`);
  process.send?.({ type: "ready", address: ollama.address });
  const stop = (): void => {
    void ollama.close().then(() => process.exit(0));
  };
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  // A parent that spawned it with an IPC channel takes it along when it goes.
  process.once("disconnect", stop);
}

function refuse(sentence: string): void {
  process.stderr.write(`drover-sim-ollama: ${sentence}\n`);
  process.exitCode = 2;
}

function whyNot(error: unknown, { host, port }: SimOllamaOptions): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "EADDRINUSE")
    return `port ${port} on ${host} is taken. Choose another with --listen, or stop what listens there.`;
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND")
    return `this machine has no address ${host}. Choose another with --listen.`;
  if (code === "EACCES")
    return `port ${port} needs more rights than this user has. Choose one above 1023 with --listen.`;
  return error instanceof Error ? `${error.message}.` : String(error);
}
