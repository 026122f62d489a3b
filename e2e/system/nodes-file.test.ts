/** A router follows the file that it was told of, while it runs. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { RouterService } from "@drover/proto/drover/router/v1/router_pb";
import { afterEach, expect, test, vi } from "vitest";
import { type DroverProcess, runDrover, startDrover } from "../src/drover-process.ts";

const PATIENCE = { timeout: 15_000, interval: 100 };
const folder = mkdtempSync(join(tmpdir(), "drover-nodes-file-"));
const file = join(folder, "nodes");
let router: DroverProcess | undefined;

afterEach(async () => {
  await router?.stop("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** Each node with the sources that name it. */
async function nodes(): Promise<string[]> {
  const client = createClient(RouterService, createGrpcTransport({ baseUrl: `http://${router?.address}` }));
  const { nodes: listed } = await client.listNodes({});
  return listed.map(({ endpoint, sources }) => `${endpoint} ${sources.join("+")}`).sort();
}

test("a file with nodes is read again when it changes, and a wrong one changes nothing", async () => {
  writeFileSync(file, "# two to begin with\n127.0.0.1:1\n127.0.0.1:2\n");
  router = await startDrover("router", ["--nodes-file", file, "--nodes", "127.0.0.1:2"]);
  await vi.waitFor(
    async () => expect(await nodes()).toEqual(["127.0.0.1:1 file", "127.0.0.1:2 file+static"]),
    PATIENCE,
  );
  writeFileSync(file, "127.0.0.1:3\n");
  await vi.waitFor(async () => expect(await nodes()).toEqual(["127.0.0.1:2 static", "127.0.0.1:3 file"]), PATIENCE);
  writeFileSync(file, "not an address\n");
  const ready = async (): Promise<string> => await (await fetch(`http://${router?.opsAddress}/readyz`)).text();
  await vi.waitFor(async () => expect(await ready()).toContain("line 1"), PATIENCE);
  expect(await nodes()).toEqual(["127.0.0.1:2 static", "127.0.0.1:3 file"]);
  expect(router.log()).toContain("the last good list of nodes stands");
  const { code, stderr } = await runDrover("router", ["--nodes-file", file]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(/--nodes-file .*line 1/)]);
});
