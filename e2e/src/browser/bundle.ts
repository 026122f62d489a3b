/** Bundles TypeScript for a browser, as an application's own build would. It writes nothing to disk. */
import { build } from "esbuild";

/** One ES module, minified, with what nothing uses left out. */
export async function bundleForBrowser(entryPoint: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entryPoint],
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    logLevel: "silent",
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error(`esbuild made nothing of ${entryPoint}`);
  return file.text;
}
