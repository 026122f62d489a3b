import { type DroverError, SimClock, silentLogger } from "@drover/platform";
import { beforeEach, describe, expect, test } from "vitest";
import type { OllamaAsker } from "../ollama/ollama-client.ts";
import { ModelDirectory } from "./model-directory.ts";

interface Tag {
  readonly name: string;
  readonly digest?: string;
  readonly remote_host?: string;
  readonly capabilities?: string[];
  readonly details?: object;
}

describe("the directory of models", () => {
  let clock: SimClock;
  let tags: Tag[] | Error;
  let show: Record<string, unknown> | Promise<Record<string, unknown>> | Error;
  let asked: string[];
  let changes: number;
  let isReachable: boolean;
  let directory: ModelDirectory;

  beforeEach(() => {
    clock = new SimClock(10_000);
    tags = [{ name: "llama3:latest", digest: "d1" }];
    show = {
      capabilities: ["completion", "tools"],
      model_info: { "general.architecture": "llama", "llama.context_length": 8192 },
    };
    asked = [];
    changes = 0;
    isReachable = true;
    const client: OllamaAsker = {
      ask: async ({ path, body }) => {
        asked.push(body === undefined ? path : `${path} ${(JSON.parse(body) as { model: string }).model}`);
        const answer = path === "/api/tags" ? (tags instanceof Error ? tags : { models: tags }) : await show;
        if (answer instanceof Error) throw answer;
        return { status: 200, text: JSON.stringify(answer) };
      },
    };
    directory = new ModelDirectory({
      client,
      clock,
      log: silentLogger,
      node: "n",
      isReachable: () => isReachable,
      onChange: () => changes++,
    });
  });

  async function refusal(name: string): Promise<DroverError> {
    try {
      await directory.resolve(name);
    } catch (error) {
      return error as DroverError;
    }
    throw new Error("it was found");
  }

  test("is empty and unknown until Ollama was read, then lists what is there with its details", async () => {
    expect(directory.list()).toBeUndefined();
    await directory.read();
    await clock.advanceAsync(0);
    expect(directory.list()).toMatchObject([
      { name: "llama3:latest", digest: "d1", capabilities: ["completion", "tools"], contextLength: 8192 },
    ]);
  });

  test("lists what is there without waiting for its details", async () => {
    let answer: (value: Record<string, unknown>) => void = () => undefined;
    show = new Promise((resolve) => {
      answer = resolve;
    });
    await directory.read();
    expect(directory.list()).toMatchObject([{ name: "llama3:latest", capabilities: undefined }]);
    answer({ capabilities: ["completion"] });
    await clock.advanceAsync(0);
    expect(directory.list()).toMatchObject([{ capabilities: ["completion"] }]);
  });

  test.each(["llama3", "LLAMA3:Latest", "library/llama3", "registry.ollama.ai/library/llama3:latest", "llama3:local"])(
    "finds a model by any of its names: %s",
    async (name) => {
      expect((await directory.resolve(name)).name).toBe("llama3:latest");
    },
  );

  test("asks for details once per digest", async () => {
    await directory.read();
    await directory.read();
    await directory.resolve("llama3");
    expect(asked).toEqual(["/api/tags", "/api/show llama3:latest", "/api/tags"]);
    tags = [{ name: "llama3:latest", digest: "d2" }];
    await directory.read();
    expect(asked.at(-1)).toBe("/api/show llama3:latest");
  });

  test("believes what the list says of a model (Ollama 0.30 and later), and asks for the rest", async () => {
    tags = [{ name: "m:1b", digest: "d", capabilities: ["completion"], details: { context_length: 77 } }];
    await directory.read();
    await clock.advanceAsync(0);
    expect(directory.list()).toMatchObject([{ capabilities: ["completion"], contextLength: 77 }]);
    expect(asked).toEqual(["/api/tags", "/api/show m:1b"]);
  });

  test("knows which names stand for the same weights, and what each brings along", async () => {
    const blob = `sha256-${"a".repeat(64)}`;
    tags = [
      { name: "a:1", digest: "d1" },
      { name: "b:1", digest: "d2" },
    ];
    show = {
      modelfile: `# FROM a:1\nFROM /models/blobs/${blob}\nPARAMETER num_ctx 512`,
      parameters:
        'num_ctx                        512\nstop                           "x"\ntemperature                    0.5',
    };
    expect(directory.weightsKeyOf("unknown")).toBe("unknown");
    const models = [await directory.resolve("a:1"), await directory.resolve("b:1")];
    expect(models.map((model) => [model.weightsKey, model.runnerOptionsJson])).toEqual([
      [blob, '{"num_ctx":512}'],
      [blob, '{"num_ctx":512}'],
    ]);
    expect(directory.weightsKeyOf(models[0]?.modelKey ?? "")).toBe(blob);
  });

  test("takes a model for one of its own weights while Ollama does not say", async () => {
    show = { modelfile: "FROM ./somewhere.gguf" };
    const { weightsKey, modelKey } = await directory.resolve("llama3");
    expect(weightsKey).toBe(modelKey);
  });

  test("tells of changes, and only of changes", async () => {
    await directory.read();
    const before = changes;
    await directory.read();
    expect(changes).toBe(before);
    tags = [];
    await directory.read();
    expect(changes).toBe(before + 1);
    expect(directory.list()).toEqual([]);
  });

  test("looks again for a name that it does not know, but not for each call", async () => {
    await directory.read();
    clock.advance(999);
    expect((await refusal("new")).kind).toBe("node_lacks_model");
    expect(asked.filter((path) => path === "/api/tags")).toHaveLength(1);
    tags = [{ name: "new:latest", digest: "d9" }];
    clock.advance(1);
    expect((await directory.resolve("new")).name).toBe("new:latest");
  });

  test("keeps the last list while Ollama does not answer", async () => {
    await directory.read();
    tags = new Error("ECONNREFUSED");
    await directory.read();
    expect(directory.list()).toHaveLength(1);
  });

  test("finds a model though Ollama does not show it, and leaves its capabilities unknown", async () => {
    show = new Error("slow");
    expect(await directory.resolve("llama3")).toMatchObject({ capabilities: undefined, contextLength: 0 });
  });

  test("hides cloud models and refuses their names", async () => {
    tags = [
      { name: "llama3:latest", digest: "d1" },
      { name: "stub:latest", digest: "d2", remote_host: "https://ollama.com" },
      { name: "gpt-oss:20b-cloud", digest: "d3" },
    ];
    await directory.read();
    expect(directory.list()?.map((model) => model.name)).toEqual(["llama3:latest"]);
    for (const name of ["stub", "gpt-oss:20b-cloud", "llama3:cloud"])
      expect((await refusal(name)).kind).toBe("permission_denied");
  });

  test.each(["", "  ", "a b", "x:y:z", "a/", "foo:cloud:local"])("refuses %j, which is no name", async (name) => {
    expect((await refusal(name)).kind).toBe("malformed_request");
    expect(asked).toEqual([]);
  });

  test("reads every five seconds while Ollama is reachable, until it is stopped", async () => {
    directory.start();
    await clock.advanceAsync(10_000);
    expect(asked.filter((path) => path === "/api/tags")).toHaveLength(2);
    isReachable = false;
    await clock.advanceAsync(10_000);
    expect(asked.filter((path) => path === "/api/tags")).toHaveLength(2);
    await directory.stop();
    expect(clock.pendingCount).toBe(0);
  });

  test("takes at most 4,096 models", async () => {
    tags = Array.from({ length: 5_000 }, (_, i) => ({
      name: `m${i}:1b`,
      digest: `d${i}`,
      capabilities: [],
      details: { context_length: 1 },
    }));
    await directory.read();
    expect(directory.list()).toHaveLength(4_096);
  });
});
