#!/usr/bin/env node
// Checks the version of Node and hands over to `#main`: main.ts in the checkout, what was compiled from it in the package (imports
// of package.json). Plain JavaScript, so that an old Node can still say what it lacks.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`drover-sim-ollama needs Node 22.19 or newer; this is Node ${process.versions.node}.\n`);
  process.exitCode = 1;
} else {
  void import("#main");
}
