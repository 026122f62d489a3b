/**
 * Asks about the fleet with @grpc/grpc-js: its models, and where the next call for one of them would go.
 *
 *   node fleet.ts [ADDRESS] [MODEL]
 */
import { grpcJsClient, routerService } from "@drover/proto/grpc-js";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { explain, untilReady } from "./connection.ts";

const [address = "127.0.0.1:50051", model = "llama3.2:1b"] = process.argv.slice(2);

const RouterClient = grpcJsClient(routerService);
const router = new RouterClient(address, credentials.createInsecure());
await untilReady(router, address);

router.listModels({}, (error, answer) => {
  if (error !== null) return fail(error);
  for (const { name, copies } of answer?.models ?? []) {
    process.stdout.write(`${name} on ${copies.map(({ nodeName }) => nodeName).join(", ")}\n`);
  }
  // A dry run: nothing is sent to any node.
  router.selectNode({ model }, (failure, selected) => {
    if (failure !== null) return fail(failure);
    process.stdout.write(`The next call for ${model} goes to ${selected?.ranking[0]?.nodeName ?? "no node"}.\n`);
    router.close();
  });
});

function fail(error: ServiceError): void {
  process.stderr.write(`${explain(error)}\n`);
  process.exitCode = 1;
  router.close();
}
