/** The program behind `npm start`: flags, signals and exit code. All else is in start.ts. */
import { configOrHelp, type Lifecycle, type ReadyFacts, runProgram, systemClock } from "@drover/platform";
import { startConfig } from "./config.ts";
import { start } from "./start.ts";
import { StartError } from "./start-error.ts";
import { watchNpm } from "./watch-npm.ts";

const NAME = "npm start";

async function main(lifecycle: Lifecycle): Promise<ReadyFacts | undefined> {
  const { env } = process;
  const print = (text: string): void => void process.stdout.write(text);
  const config = configOrHelp(startConfig, { argv: process.argv.slice(2), env, print });
  if (config === undefined) return undefined;
  const onGone = (): void => void process.kill(process.pid, "SIGTERM");
  // Whoever read this has left, as `npm start | head` does; without a listener it would end as a fault.
  let isRead = true;
  process.stdout.on("error", () => {
    if (isRead) onGone();
    isRead = false;
  });
  watchNpm({ clock: systemClock, env, signal: lifecycle.stopSignal, onGone });
  const fail = (): void => void lifecycle.stop(1).then(() => process.exit(1));
  try {
    return await start(config, { clock: systemClock, env, lifecycle, print, fail });
  } catch (error) {
    // A stop in the middle of the start makes its steps fail; that is not what ended it.
    if (lifecycle.stopSignal.aborted) return undefined;
    if (!(error instanceof StartError)) throw error;
    process.stderr.write(`${NAME}: ${error.message}\n`);
    await lifecycle.stop(1);
    return undefined;
  }
}

await runProgram({ name: NAME, main });
