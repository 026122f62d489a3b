/**
 * A program that uses a provider, disposes it in the middle of things, and has nothing left to do then: KIND ADDRESS… . It tells its
 * parent how what ran ended.
 */
import { type AgentProvider, DroverError, NetworkAgentProvider } from "@drover/client";
import { NetworkAgentProvider as DirectProvider } from "@drover/client/direct";
import { MODEL } from "./provider-fleet.ts";

const [kind, ...addresses] = process.argv.slice(2);
const open = (given: readonly string[]): AgentProvider =>
  kind === "over a router"
    ? new NetworkAgentProvider({ discovery: { router: given } })
    : new DirectProvider({ discovery: { static: given } });

const reasonOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => "none",
    (error: unknown) => (error instanceof DroverError ? error.reason : String(error)),
  );

const provider = open(addresses);
await provider.initialize();
await provider.embed("x", { model: "none" }).catch(() => undefined);
await provider.generate("Hi", { model: MODEL });
const pieces = provider
  .generate("Hi", { model: MODEL, stream: true, options: { numPredict: 10_000 } })
  [Symbol.asyncIterator]();
await pieces.next();
const rest = async (): Promise<void> => {
  while ((await pieces.next()).done !== true);
};
const streamed = reasonOf(rest());
// Nobody listens there.
const nowhere = open(["127.0.0.1:9"]);
const waiting = reasonOf(nowhere.initialize());
await Promise.all([provider.dispose(), nowhere.dispose()]);
const later = await reasonOf(provider.generate("Hi", { model: MODEL }));
process.send?.({ streamed: await streamed, waiting: await waiting, later });
