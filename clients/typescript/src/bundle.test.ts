/** What the client costs a page: the browser's entry, bundled, minified and compressed as an application's own build would. */
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { expect, it } from "vitest";

/** The figure that is promised. Most of it is protobuf and the contracts. */
const CLIENT_BYTES_MAX = 60_000;
/** With NetworkAgentProvider, for pages that import that too. */
const ALL_BYTES_MAX = 64_000;

/** Compressed bytes of a page that uses these names, or all. Fails where a module of Node would be in it. */
async function bundledBytes(names: string): Promise<number> {
  const { outputFiles } = await build({
    stdin: {
      contents: `import ${names} from "./browser.ts"; globalThis.used = [${names.replace(/^\* as |[{}]/g, "")}];`,
      resolveDir: fileURLToPath(new URL(".", import.meta.url)),
    },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    logLevel: "silent",
  });
  const text = outputFiles.map((file) => file.text).join("");
  // As facts: a failure would print the whole bundle.
  expect({ hasClient: text.includes("drover-session"), hasNodeModule: /["']node:/.test(text) }).toEqual({
    hasClient: true,
    hasNodeModule: false,
  });
  return gzipSync(text, { level: 9 }).length;
}

it("costs a page at most 60 kB", async () => {
  const client = await bundledBytes("{ createDroverClient, DroverError }");
  const all = await bundledBytes("* as all");
  process.stdout.write(`Browser bundle, gzip: ${client} bytes for createDroverClient, ${all} for all exports.\n`);
  expect(client).toBeLessThanOrEqual(CLIENT_BYTES_MAX);
  expect(all).toBeLessThanOrEqual(ALL_BYTES_MAX);
});
