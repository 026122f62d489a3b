/**
 * What Drover relies on in an Ollama, as tests that run against the simulated and against the real one (0.24.0): what
 * only the simulator passes is a bug of the simulator. Sources: server/routes.go, server/sched.go and api/types.go of
 * github.com/ollama/ollama, and what the real program was seen to answer.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Answer, type Json, openCall, post, send } from "./ollama-http.ts";

export interface ContractTarget {
  readonly url: string;
  /** Completion and nothing else. One slot. */
  readonly chat: string;
  /** Completion and tools. */
  readonly tools: string;
  /** The process that runs this model dies at once. */
  crashRunner(model: string): Promise<void>;
  close(): Promise<unknown>;
}

const DETAILS_KEYS = ["parent_model", "format", "family", "families", "parameter_size", "quantization_level"];
const TAGS_KEYS = ["name", "model", "modified_at", "size", "digest", "details"];
const PS_KEYS = ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"];
const METRIC_KEYS = [
  "total_duration",
  "load_duration",
  "prompt_eval_count",
  "prompt_eval_duration",
  "eval_count",
  "eval_duration",
];
const ENDING_KEYS = ["done", "done_reason", ...METRIC_KEYS];
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
const ndjson = "application/x-ndjson";
const wholeJson = "application/json; charset=utf-8";

const WEATHER_TOOL = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city",
    parameters: {
      type: "object",
      required: ["city"],
      properties: { city: { type: "string", enum: ["Paris", "Oslo"] } },
    },
  },
};

/** `start` may take its time; the suite closes what it gave. */
export function describeOllama(title: string, start: () => Promise<ContractTarget>): void {
  describe(title, { timeout: 60_000 }, () => {
    let target: ContractTarget;
    let url = "";
    let chat = "";
    beforeAll(async () => {
      target = await start();
      ({ url, chat } = target);
    }, 120_000);
    afterAll(() => target?.close());

    const ask = (path: string, body: object): Promise<Answer> => post(url, `/api/${path}`, body);
    const error = async (path: string, body: object | string): Promise<[number, unknown]> => {
      const answer = await post(url, `/api/${path}`, body);
      return [answer.status, answer.json()["error"]];
    };
    const hello = (extra: Json = {}): Json => ({ model: chat, messages: [user("Say hello.")], ...extra });
    const cold = { temperature: 0 };
    const loadedModels = async (): Promise<Json[]> => (await send(url, "/api/ps")).json()["models"] as Json[];
    const unload = async (model = chat): Promise<void> => {
      await ask("generate", { model, keep_alive: 0 });
      await eventually(async () => expect((await loadedModels()).map((entry) => entry["name"])).not.toContain(model));
    };
    const load = (model = chat, extra: Json = {}): Promise<Answer> => ask("generate", { model, ...extra });

    describe("the surface", () => {
      test("GET / says in plain text that it is running", async () => {
        const answer = await send(url, "/");
        expect([answer.status, answer.text]).toEqual([200, "Ollama is running"]);
        expect(answer.headers["content-type"]).toMatch(/^text\/plain/);
      });

      test.each(["/", "/api/version", "/api/tags"])("HEAD %s is answered without a body", async (path) => {
        const answer = await send(url, path, { method: "HEAD" });
        expect([answer.status, answer.text]).toEqual([200, ""]);
      });

      test("the version is three numbers, 0.24 here", async () => {
        const answer = await send(url, "/api/version");
        expect(answer.json()).toEqual({ version: expect.stringMatching(/^0\.24\.\d+$/) });
        expect(answer.headers["content-type"]).toBe(wholeJson);
      });

      test("an unknown path is a 404 in plain text", async () => {
        const answer = await send(url, "/api/nothing");
        expect([answer.status, answer.text]).toEqual([404, "404 page not found"]);
        expect(answer.headers["content-type"]).toMatch(/^text\/plain/);
      });

      test.each([
        ["PUT", "/api/ps", "GET"],
        ["HEAD", "/api/ps", "GET"],
        ["GET", "/api/generate", "POST"],
        ["GET", "/api/chat", "POST"],
        ["DELETE", "/api/embed", "POST"],
        ["GET", "/api/show", "POST"],
      ])("%s %s is a 405 that names what is allowed", async (method, path, allowed) => {
        const answer = await send(url, path, { method });
        expect(answer.status).toBe(405);
        expect(answer.headers.allow).toBe(allowed);
        if (method !== "HEAD") expect(answer.text).toBe("405 method not allowed");
      });

      test.each(["generate", "chat", "embed", "embeddings", "show"])("%s without a body is a 400", async (path) => {
        expect(await error(path, "")).toEqual([400, "missing request body"]);
      });

      test.each(["generate", "chat", "embed"])("%s with something that is not JSON is a 400", async (path) => {
        const [status, words] = await error(path, "hello");
        expect([status, words]).toEqual([400, "invalid character 'h' looking for beginning of value"]);
      });

      test("a body that ends too soon is a 400", async () => {
        expect(await error("chat", '{"model":')).toEqual([400, "unexpected EOF"]);
      });

      test("a field of the wrong type is a 400 in the words of Go's decoder", async () => {
        const [status, words] = await error("generate", { model: 7 });
        expect(status).toBe(400);
        expect(words).toBe("json: cannot unmarshal number into Go struct field GenerateRequest.model of type string");
      });

      test("unknown fields and a missing content type do not matter", async () => {
        const answer = await ask("generate", { model: chat, prompt: "", nonsense: { a: 1 } });
        expect(answer.status).toBe(200);
      });
    });

    describe("who may ask", () => {
      test.each(["evil.example", "evil.example:11434", "8.8.8.8"])(
        "Host %s is refused without a word",
        async (host) => {
          const answer = await send(url, "/api/version", { headers: { host } });
          expect([answer.status, answer.text]).toEqual([403, ""]);
        },
      );

      test.each([
        "localhost",
        "localhost:1",
        "x.localhost",
        "box.local",
        "box.internal",
        "127.0.0.1:80",
        "192.168.1.2",
      ])("Host %s is welcome", async (host) => {
        expect((await send(url, "/api/version", { headers: { host } })).status).toBe(200);
      });

      test("a page of a foreign site is refused", async () => {
        const answer = await send(url, "/api/tags", { headers: { origin: "https://evil.example" } });
        expect(answer.status).toBe(403);
      });

      test.each(["http://localhost:3000", "http://127.0.0.1", "app://obsidian.md"])(
        "Origin %s is welcome",
        async (origin) => {
          expect((await send(url, "/api/tags", { headers: { origin } })).status).toBe(200);
        },
      );
    });

    describe("what there is", () => {
      test("tags lists every model with exactly these fields, and no capabilities", async () => {
        const { models } = (await send(url, "/api/tags")).json() as { models: Json[] };
        expect(models.map((model) => model["name"]).sort()).toEqual([chat, target.tools].sort());
        for (const model of models) {
          expect(Object.keys(model)).toEqual(TAGS_KEYS);
          expect(Object.keys(model["details"] as Json)).toEqual(DETAILS_KEYS);
          expect(model).toMatchObject({
            model: model["name"],
            modified_at: expect.stringMatching(RFC3339),
            size: expect.any(Number),
            digest: expect.stringMatching(/^[0-9a-f]{64}$/),
            details: {
              format: "gguf",
              families: expect.any(Array),
              parameter_size: expect.stringMatching(/^[\d.]+[MB]$/),
            },
          });
        }
      });

      test("show tells capabilities, the longest context and the template", async () => {
        const shown = (await ask("show", { model: chat })).json();
        expect(Object.keys(shown)).toEqual([
          "modelfile",
          "parameters",
          "template",
          "details",
          "model_info",
          "tensors",
          "capabilities",
          "modified_at",
        ]);
        expect(shown["capabilities"]).toEqual(["completion"]);
        expect(shown["template"]).toContain("<|im_start|>assistant");
        expect(shown["parameters"]).toBe(
          'stop                           "<|im_start|>"\nstop                           "<|im_end|>"',
        );
        expect(shown["modelfile"]).toMatch(/^FROM \/.*\/blobs\/sha256-[0-9a-f]{64}$/m);
        const info = shown["model_info"] as Json;
        const family = String(info["general.architecture"]);
        for (const key of ["context_length", "embedding_length", "block_count"]) {
          expect(info[`${family}.${key}`]).toEqual(expect.any(Number));
        }
        expect(info["general.parameter_count"]).toEqual(expect.any(Number));
        expect(info["tokenizer.ggml.tokens"]).toBeNull();
      });

      test("show fills long lists when asked to be verbose", async () => {
        const shown = (await ask("show", { model: chat, verbose: true })).json();
        expect((shown["model_info"] as Json)["tokenizer.ggml.tokens"]).toEqual(
          expect.arrayContaining([expect.any(String)]),
        );
      });

      test("show reads the old field `name`, and generate does not", async () => {
        expect((await ask("show", { name: target.tools })).json()["capabilities"]).toEqual(["completion", "tools"]);
        expect(await error("generate", { name: chat, prompt: "" })).toEqual([404, "model '' not found"]);
      });

      test("names are compared without regard to case, and answers repeat what was asked", async () => {
        const loud = chat.toUpperCase();
        const answer = await ask("generate", { model: loud, prompt: "Hi", stream: false, options: { num_predict: 1 } });
        expect(answer.json()["model"]).toBe(loud);
        expect((await loadedModels()).map((entry) => entry["name"])).toContain(chat);
      });

      test(":local names the same model", async () => {
        expect((await ask("generate", { model: `${chat}:local` })).status).toBe(200);
      });
    });

    describe("models that are not there", () => {
      test.each([
        ["generate", { prompt: "x" }, "model 'nope' not found"],
        ["chat", { messages: [] }, "model 'nope' not found"],
        ["show", {}, "model 'nope' not found"],
        ["embed", { input: "x" }, 'model "nope" not found, try pulling it first'],
        ["embeddings", { prompt: "x" }, 'model "nope" not found, try pulling it first'],
      ])("%s of an unknown model is a 404", async (path, body, words) => {
        expect(await error(path, { model: "nope", ...body })).toEqual([404, words]);
      });

      test.each([
        ["generate", 404, "model '' not found"],
        ["embed", 404, "model '' not found"],
        ["chat", 400, "model is required"],
        ["embeddings", 400, "model is required"],
        ["show", 400, "model is required"],
      ])("%s without a model is a %i", async (path, status, words) => {
        expect(await error(path, { model: "" })).toEqual([status, words]);
      });

      test.each(["generate", "chat", "embed"])("%s of an impossible name is a 400", async (path) => {
        expect(await error(path, { model: "a b/c", prompt: "x" })).toEqual([400, "invalid model name"]);
      });

      test("two sources in one name contradict each other", async () => {
        const words = 'use either :local or :cloud, not both: "x:cloud:local"';
        expect(await error("chat", { model: "x:cloud:local" })).toEqual([400, words]);
      });

      test("a cloud model is refused where the cloud is switched off", async () => {
        const [status, words] = await error("chat", { model: "x:cloud", messages: [user("hi")] });
        expect([status, words]).toEqual([403, "ollama cloud is disabled: remote model is unavailable"]);
      });
    });

    describe("loading and unloading", () => {
      beforeEach(() => unload());

      test("generate without a prompt loads and says so", async () => {
        const answer = await load();
        expect(Object.keys(answer.json())).toEqual(["model", "created_at", "response", "done", "done_reason"]);
        expect(answer.json()).toMatchObject({ model: chat, response: "", done: true, done_reason: "load" });
        expect(answer.headers["content-type"]).toBe(wholeJson);
        const [entry] = await loadedModels();
        expect(Object.keys(entry ?? {})).toEqual(PS_KEYS);
        expect(Object.keys(entry?.["details"] as Json)).toEqual(DETAILS_KEYS);
        expect(entry).toMatchObject({
          name: chat,
          model: chat,
          size: expect.any(Number),
          size_vram: 0,
          context_length: 4096,
        });
      });

      test("chat without messages loads, and with keep_alive 0 unloads", async () => {
        const loaded = (await ask("chat", { model: chat })).json();
        expect(Object.keys(loaded)).toEqual(["model", "created_at", "message", "done", "done_reason"]);
        expect(loaded).toMatchObject({ message: { role: "assistant", content: "" }, done: true, done_reason: "load" });
        const unloaded = (await ask("chat", { model: chat, keep_alive: 0 })).json();
        expect(unloaded).toMatchObject({
          message: { role: "assistant", content: "" },
          done: true,
          done_reason: "unload",
        });
        await eventually(async () => expect(await loadedModels()).toEqual([]));
      });

      test("generate with keep_alive 0 and no prompt unloads at once, loaded or not", async () => {
        await load();
        const answer = (await ask("generate", { model: chat, keep_alive: 0 })).json();
        expect(answer).toMatchObject({ response: "", done: true, done_reason: "unload" });
        await eventually(async () => expect(await loadedModels()).toEqual([]));
        expect((await ask("generate", { model: chat, keep_alive: "0s" })).json()["done_reason"]).toBe("unload");
      });

      test("embed without input loads", async () => {
        expect((await ask("embed", { model: chat, input: [] })).json()).toEqual({ model: chat, embeddings: [] });
        expect(await loadedModels()).toHaveLength(1);
      });

      test("an idle model stays for five minutes, or as long as the last request says", async () => {
        await load();
        expect(await secondsLeft(await loadedModels())).toBeGreaterThan(280);
        expect(await secondsLeft(await loadedModels())).toBeLessThan(310);
        await load(chat, { keep_alive: "1h30m" });
        expect(await secondsLeft(await loadedModels())).toBeGreaterThan(5300);
        await load(chat, { keep_alive: 20 });
        expect(await secondsLeft(await loadedModels())).toBeLessThan(30);
        await load(chat, { keep_alive: -1 });
        expect(String((await loadedModels())[0]?.["expires_at"])).toMatch(/^23\d\d-/);
      });

      test("a short keep_alive is kept", async () => {
        await load(chat, { keep_alive: "300ms" });
        await eventually(async () => expect(await loadedModels()).toEqual([]));
      });

      test.each([
        ["300", 'time: missing unit in duration "300"'],
        ["-1", 'time: missing unit in duration "-1"'],
        ["soon", 'time: invalid duration "soon"'],
      ])("keep_alive %j is a 400", async (keep_alive, words) => {
        expect(await error("generate", { model: chat, keep_alive })).toEqual([400, words]);
      });

      test("keep_alive 0 while busy answers at once, and the running answer comes to its end", async () => {
        await load();
        const running = openCall(url, "/api/generate", writing(chat, 40));
        await running.linesReceived(2);
        const unloading = await ask("generate", { model: chat, keep_alive: 0 });
        expect(unloading.json()["done_reason"]).toBe("unload");
        expect((await running.answer).lines().at(-1)?.["done"]).toBe(true);
        await eventually(async () => expect(await loadedModels()).toEqual([]));
      });

      test("while it loads ps answers at once and does not list it", async () => {
        const loading = openCall(url, "/api/generate", { method: "POST", body: { model: chat } });
        await pause(80);
        const ps = await send(url, "/api/ps");
        expect(loading.hasHeaders()).toBe(false);
        expect(ps.json()).toEqual({ models: [] });
        expect(ps.endAfterMs).toBeLessThan(300);
        expect((await loading.answer).json()["done_reason"]).toBe("load");
      });

      test("a load is lost when the request that wanted it leaves", async () => {
        const loading = openCall(url, "/api/generate", { method: "POST", body: { model: chat } });
        await pause(80);
        loading.destroy();
        await pause(1500);
        expect(await loadedModels()).toEqual([]);
        expect((await load()).json()["done_reason"]).toBe("load");
      });

      test("another num_ctx loads anew, another temperature does not", async () => {
        await load(chat, { options: { num_ctx: 512 } });
        expect((await loadedModels())[0]?.["context_length"]).toBe(512);
        const same = { num_ctx: 512, temperature: 0, num_predict: 1 };
        const kept = (await ask("generate", { model: chat, prompt: "Hi", stream: false, options: same })).json();
        expect(Number(kept["load_duration"]) / 1e6).toBeLessThan(250);
        await load(chat, { options: { num_ctx: 1024 } });
        expect((await loadedModels())[0]?.["context_length"]).toBe(1024);
        expect(await loadedModels()).toHaveLength(1);
      });

      test("a num_ctx beyond the model's own is cut down to it without a word", async () => {
        const info = (await ask("show", { model: chat })).json()["model_info"] as Json;
        await load(chat, { options: { num_ctx: 1_000_000 } });
        expect((await loadedModels())[0]?.["context_length"]).toBe(info["llama.context_length"]);
      });
    });

    describe("generate", () => {
      const prompt = { prompt: "Tell me about rivers.", options: { ...cold, num_predict: 12 } };

      test("streams lines, each with one piece, and ends with one that has the counts", async () => {
        const answer = await ask("generate", { model: chat, ...prompt });
        expect([answer.status, answer.headers["content-type"]]).toEqual([200, ndjson]);
        const lines = answer.lines();
        const last = lines.at(-1) ?? {};
        for (const line of lines.slice(0, -1)) {
          expect(Object.keys(line)).toEqual(["model", "created_at", "response", "done"]);
          expect(line).toMatchObject({ model: chat, created_at: expect.stringMatching(RFC3339), done: false });
          expect(line["response"]).not.toBe("");
        }
        expect(lines.length).toBeGreaterThan(8);
        expect(Object.keys(last)).toEqual([
          "model",
          "created_at",
          "response",
          "done",
          "done_reason",
          "context",
          ...METRIC_KEYS,
        ]);
        expect(last).toMatchObject({ response: "", done: true, done_reason: "length", eval_count: 12 });
        for (const key of METRIC_KEYS) expect(last[key]).toSatisfy(isPositiveInteger);
        expect(last["context"]).toSatisfy((ids: unknown) => Array.isArray(ids) && ids.every(Number.isInteger));
        expect(durationsOf(last)).toBeLessThanOrEqual(Number(last["total_duration"]) * 1.02);
      });

      test("without streaming gives the same text in one object", async () => {
        const streamed = (await ask("generate", { model: chat, ...prompt })).lines();
        const whole = await ask("generate", { model: chat, stream: false, ...prompt });
        expect(whole.headers["content-type"]).toBe(wholeJson);
        expect(whole.json()["response"]).toBe(textOf(streamed));
        expect(Object.keys(whole.json())).toEqual([
          "model",
          "created_at",
          "response",
          "done",
          "done_reason",
          "context",
          ...METRIC_KEYS,
        ]);
      });

      test("a raw prompt gives no context back", async () => {
        const lines = (await ask("generate", { model: chat, raw: true, ...prompt })).lines();
        expect(Object.keys(lines.at(-1) ?? {})).toEqual(["model", "created_at", "response", ...ENDING_KEYS]);
      });

      test.each([{ system: "s" }, { template: "t" }, { context: [1] }])("raw does not go with %j", async (extra) => {
        const words = "raw mode does not support template, system, or context";
        expect(await error("generate", { model: chat, raw: true, prompt: "x", ...extra })).toEqual([400, words]);
      });

      test("the context of one answer goes into the next", async () => {
        const first = (await ask("generate", { model: chat, ...prompt, stream: false })).json();
        const second = (
          await ask("generate", { model: chat, ...prompt, stream: false, context: first["context"] })
        ).json();
        expect(Number(second["prompt_eval_count"])).toBeGreaterThan(Number(first["prompt_eval_count"]));
      });

      test("a suffix needs a model that inserts", async () => {
        const words = `registry.ollama.ai/library/${chat} does not support insert`;
        expect(await error("generate", { model: chat, prompt: "a", suffix: "b" })).toEqual([400, words]);
      });

      test("a template of the caller's own is filled in", async () => {
        const body = {
          model: chat,
          prompt: "P",
          system: "S",
          template: "{{ .System }}/{{ .Prompt }}!",
          _debug_render_only: true,
        };
        expect(renderedBy(await ask("generate", body))).toBe("S/P!");
      });
    });

    describe("chat", () => {
      test("streams messages of the assistant and ends with one that has the counts", async () => {
        const answer = await ask("chat", hello({ options: { ...cold, num_predict: 10 } }));
        expect([answer.status, answer.headers["content-type"]]).toEqual([200, ndjson]);
        const lines = answer.lines();
        for (const line of lines.slice(0, -1)) {
          expect(Object.keys(line)).toEqual(["model", "created_at", "message", "done"]);
          expect(Object.keys(line["message"] as Json)).toEqual(["role", "content"]);
          expect(line["message"]).toMatchObject({ role: "assistant" });
        }
        const last = lines.at(-1) ?? {};
        expect(Object.keys(last)).toEqual(["model", "created_at", "message", ...ENDING_KEYS]);
        expect(last).toMatchObject({ message: { role: "assistant", content: "" }, done: true });
        for (const key of METRIC_KEYS) expect(last[key]).toSatisfy(isPositiveInteger);
      });

      test("without streaming gives the same text in one object", async () => {
        const options = { ...cold, num_predict: 10 };
        const streamed = (await ask("chat", hello({ options }))).lines();
        const whole = await ask("chat", hello({ options, stream: false }));
        expect(whole.headers["content-type"]).toBe(wholeJson);
        expect(whole.json()["message"]).toEqual({ role: "assistant", content: textOf(streamed) });
        expect(Object.keys(whole.json())).toEqual(["model", "created_at", "message", ...ENDING_KEYS]);
      });

      test("the same prompt at temperature 0 gives the same text, with another seed too", async () => {
        const first = (
          await ask("chat", hello({ stream: false, options: { ...cold, num_predict: 12, seed: 1 } }))
        ).json();
        const second = (
          await ask("chat", hello({ stream: false, options: { ...cold, num_predict: 12, seed: 2 } }))
        ).json();
        expect(second["message"]).toEqual(first["message"]);
      });

      test("a seed repeats an answer at a temperature", async () => {
        const options = { temperature: 1.2, seed: 7, num_predict: 12 };
        const first = (await ask("chat", hello({ stream: false, options }))).json();
        const second = (await ask("chat", hello({ stream: false, options }))).json();
        const other = (await ask("chat", hello({ stream: false, options: { ...options, seed: 8 } }))).json();
        expect(second["message"]).toEqual(first["message"]);
        expect(other["message"]).not.toEqual(first["message"]);
      });

      test("roles may be written in capitals", async () => {
        const body = { model: chat, messages: [{ role: "USER", content: "x" }], _debug_render_only: true };
        expect(renderedBy(await ask("chat", body))).toContain("<|im_start|>user\nx");
      });

      test("messages of the wrong type are a 400", async () => {
        const [status, words] = await error("chat", { model: chat, messages: "hi" });
        expect(status).toBe(400);
        expect(words).toBe(
          "json: cannot unmarshal string into Go struct field ChatRequest.messages of type []api.Message",
        );
      });

      test("images are taken by a model that sees none", async () => {
        const body = hello({ messages: [user("x", { images: ["aGVsbG8="] })], options: { num_predict: 1 } });
        expect((await ask("chat", body)).status).toBe(200);
      });
    });

    describe("options", () => {
      test.each([
        ["num_ctx", "big", "integer"],
        ["num_predict", true, "integer"],
        ["temperature", "hot", "float32"],
        ["top_p", [], "float32"],
        ["use_mmap", 1, "boolean"],
        ["stop", "x", "array"],
      ])("%s of the wrong type is a 500", async (key, value, type) => {
        const options = { [key]: value };
        expect(await error("chat", hello({ options }))).toEqual([500, `option "${key}" must be of type ${type}`]);
        expect(await error("embed", { model: chat, input: "x", options })).toEqual([
          500,
          `option "${key}" must be of type ${type}`,
        ]);
      });

      test("stop must hold strings", async () => {
        const words = 'option "stop" must be of an array of strings';
        expect(await error("generate", { model: chat, prompt: "x", options: { stop: [1] } })).toEqual([500, words]);
      });

      test("options that are no object are a 400", async () => {
        const [status, words] = await error("generate", { model: chat, prompt: "x", options: [1] });
        const type = "map[string]interface {}";
        expect(status).toBe(400);
        expect(words).toBe(`json: cannot unmarshal array into Go struct field GenerateRequest.options of type ${type}`);
      });

      test("null, unknown names and fractions of integers pass", async () => {
        const options = { num_predict: 2.7, temperature: null, no_such_option: "x" };
        const answer = (await ask("generate", { model: chat, prompt: "Hi", stream: false, options })).json();
        expect(answer["eval_count"]).toBe(2);
      });

      test("num_predict cuts and says length", async () => {
        const lines = (await ask("chat", hello({ options: { ...cold, num_predict: 3 } }))).lines();
        expect(lines).toHaveLength(4);
        expect(lines.at(-1)).toMatchObject({ done_reason: "length", eval_count: 3 });
      });

      test("a stop string ends the answer before it and says stop", async () => {
        const options = { ...cold, num_predict: 24 };
        const whole = String(
          ((await ask("chat", hello({ stream: false, options }))).json()["message"] as Json)["content"],
        );
        const stop = whole.slice(9, 14);
        const lines = (await ask("chat", hello({ options: { ...options, stop: [stop] } }))).lines();
        expect(textOf(lines)).toBe(whole.slice(0, whole.indexOf(stop)));
        expect(lines.at(-1)).toMatchObject({ done: true, done_reason: "stop" });
      });

      test("a prompt that does not fit is cut, or refused when it must not be", async () => {
        const long = "river ".repeat(300);
        const options = { ...cold, num_ctx: 128, num_predict: 2 };
        const cut = (await ask("generate", { model: chat, prompt: long, raw: true, stream: false, options })).json();
        expect(cut["prompt_eval_count"]).toBe(128);
        const words = "the input length exceeds the context length";
        const refused = { options, truncate: false };
        expect(await error("generate", { model: chat, prompt: long, ...refused })).toEqual([400, words]);
        expect(await error("chat", hello({ messages: [user(long)], ...refused }))).toEqual([400, words]);
        expect(await error("embed", { model: chat, input: long, ...refused })).toEqual([400, words]);
        expect((await ask("embed", { model: chat, input: long, options })).status).toBe(200);
      });

      test("the oldest messages go first, the system's and the last stay", async () => {
        const options = { num_ctx: 128 };
        const old = user(`OLDEST ${"river ".repeat(200)}`);
        const messages = [{ role: "system", content: "RULES" }, old, user("LAST")];
        const text = renderedBy(await ask("chat", { model: chat, messages, options, _debug_render_only: true }));
        expect(text).toBe(
          "<|im_start|>system\nRULES<|im_end|>\n<|im_start|>user\nLAST<|im_end|>\n<|im_start|>assistant\n",
        );
      });

      test("without shift the answer ends where the context is full", async () => {
        const options = { ...cold, num_ctx: 64, num_predict: 200 };
        const body = { model: chat, prompt: " river".repeat(40), raw: true, shift: false, stream: false, options };
        const answer = (await ask("generate", body)).json();
        expect(answer).toMatchObject({ done: true });
        expect(Number(answer["eval_count"])).toBeLessThanOrEqual(26);
      });
    });

    describe("formats", () => {
      test.each([
        ["xml", '"\\"xml\\""'],
        [7, '"7"'],
      ])("format %j is a 500", async (format, quoted) => {
        const words = `invalid format: ${quoted}; expected "json" or a valid JSON Schema object`;
        expect(await error("chat", hello({ format }))).toEqual([500, words]);
        expect(await error("generate", { model: chat, prompt: "x", stream: false, format })).toEqual([500, words]);
      });

      test("a schema that is none is a 500", async () => {
        expect(await error("chat", hello({ format: { type: "sausage" } }))).toEqual([
          500,
          "invalid JSON schema in format",
        ]);
      });

      test("an empty format and null count as none", async () => {
        for (const format of ["", null]) {
          expect((await ask("chat", hello({ format, options: { num_predict: 1 } }))).status).toBe(200);
        }
      });

      test("a schema is kept to", async () => {
        const properties = {
          colour: { type: "string", enum: ["red", "blue"] },
          count: { type: "integer", minimum: 1, maximum: 9 },
        };
        const format = { type: "object", properties, required: ["colour", "count"] };
        const answer = (
          await ask("chat", hello({ stream: false, format, options: { ...cold, num_predict: 60 } }))
        ).json();
        const value = JSON.parse(String((answer["message"] as Json)["content"])) as Json;
        expect(["red", "blue"]).toContain(value["colour"]);
        expect(value["count"]).toSatisfy(isPositiveInteger);
      });

      test("json starts an object", async () => {
        const body = {
          model: chat,
          prompt: "A JSON object:",
          format: "json",
          stream: false,
          options: { ...cold, num_predict: 30 },
        };
        expect(String((await ask("generate", body)).json()["response"]).trimStart()).toMatch(/^\{/);
      });
    });

    describe("thinking", () => {
      test("a model that cannot think refuses to", async () => {
        const words = `"${chat}" does not support thinking`;
        for (const think of [true, "high"]) {
          expect(await error("chat", hello({ think }))).toEqual([400, words]);
          expect(await error("generate", { model: chat, prompt: "x", think })).toEqual([400, words]);
        }
      });

      test("think false is fine anywhere", async () => {
        expect((await ask("chat", hello({ think: false, options: { num_predict: 1 } }))).status).toBe(200);
      });

      test("think takes a flag or a level", async () => {
        const levels = '"high", "medium", "low", "max", true, or false';
        expect(await error("chat", hello({ think: "hard" }))).toEqual([
          400,
          `invalid think value: "hard" (must be ${levels})`,
        ]);
        expect(await error("chat", hello({ think: 3 }))).toEqual([
          400,
          `think must be a boolean or string (${levels})`,
        ]);
      });
    });

    describe("tools", () => {
      /** The words name the tool for the simulator; the schema makes the real model call it. */
      const calling = (extra: Json = {}): Json => ({
        model: target.tools,
        messages: [user("Please call get_weather.")],
        tools: [WEATHER_TOOL],
        options: { ...cold, num_predict: 60 },
        format: {
          type: "object",
          properties: {
            name: { type: "string", enum: ["get_weather"] },
            arguments: WEATHER_TOOL.function.parameters,
          },
          required: ["name", "arguments"],
        },
        ...extra,
      });
      const callOf = (message: unknown): Json => ((message as Json)["tool_calls"] as Json[])[0] ?? {};

      test("a model without them refuses", async () => {
        const words = `registry.ollama.ai/library/${chat} does not support tools`;
        expect(await error("chat", hello({ tools: [WEATHER_TOOL] }))).toEqual([400, words]);
      });

      test("a call comes in a line of its own, and the end after it", async () => {
        const lines = (await ask("chat", calling())).lines();
        const withCalls = lines.filter((line) => "tool_calls" in (line["message"] as Json));
        expect(withCalls).toHaveLength(1);
        expect(withCalls[0]).toMatchObject({ done: false, message: { role: "assistant", content: "" } });
        const call = callOf(withCalls[0]?.["message"]);
        expect(Object.keys(call)).toEqual(["id", "function"]);
        expect(Object.keys(call["function"] as Json)).toEqual(["index", "name", "arguments"]);
        expect(call).toMatchObject({
          id: expect.stringMatching(/^call_[a-z0-9]{8}$/),
          function: { index: 0, name: "get_weather", arguments: { city: expect.stringMatching(/^(Paris|Oslo)$/) } },
        });
        expect(lines.at(-1)).toMatchObject({ done: true, done_reason: "stop" });
      });

      test("without streaming the call is in the one message", async () => {
        const answer = (await ask("chat", calling({ stream: false }))).json();
        expect(callOf(answer["message"])["function"]).toMatchObject({ name: "get_weather" });
        expect(answer).toMatchObject({ done: true, done_reason: "stop" });
      });

      const other = { type: "object", properties: { a: { type: "string", enum: ["b"] } }, required: ["a"] };

      test("an answer that starts like a call and is none comes in one piece", async () => {
        const lines = (await ask("chat", calling({ format: other }))).lines();
        expect(JSON.parse(pieceOf(lines[0] ?? {}))).toEqual({ a: "b" });
        expect(textOf(lines.slice(1)).trim()).toBe("");
        expect(lines[0]).toMatchObject({ done: false });
        expect(lines.at(-1)).toMatchObject({ done: true, message: { content: "" } });
      });

      test("what looks like a call and is cut off comes with the end: done may carry content", async () => {
        const lines = (await ask("chat", calling({ format: other, options: { ...cold, num_predict: 2 } }))).lines();
        expect(lines).toHaveLength(1);
        expect(lines[0]).toMatchObject({ done: true, message: { content: expect.stringMatching(/^\{/) } });
      });

      test("with tools an answer in plain words streams as ever", async () => {
        const body = { model: target.tools, messages: [user("Say hello.")], tools: [WEATHER_TOOL] };
        const lines = (await ask("chat", { ...body, options: { ...cold, num_predict: 4 } })).lines();
        expect(lines).toHaveLength(5);
      });
    });

    describe("logprobs", () => {
      test("each piece has those of its tokens", async () => {
        const body = hello({ logprobs: true, top_logprobs: 2, options: { ...cold, num_predict: 3 } });
        const [line] = (await ask("chat", body)).lines();
        const [token] = (line?.["logprobs"] as Json[] | undefined) ?? [];
        expect(Object.keys(token ?? {})).toEqual(["token", "logprob", "bytes", "top_logprobs"]);
        expect(token).toMatchObject({ token: pieceOf(line ?? {}), logprob: expect.any(Number) });
        const top = token?.["top_logprobs"] as Json[] | undefined;
        expect(top?.map((entry) => Object.keys(entry))).toEqual([
          ["token", "logprob", "bytes"],
          ["token", "logprob", "bytes"],
        ]);
      });

      test("without streaming they come together", async () => {
        const body = { model: chat, prompt: "Hi", stream: false, logprobs: true, options: { ...cold, num_predict: 3 } };
        expect((await ask("generate", body)).json()["logprobs"]).toHaveLength(3);
      });

      test.each([-1, 21])("top_logprobs %i is out of range", async (top_logprobs) => {
        const words = "top_logprobs must be between 0 and 20";
        expect(await error("chat", hello({ top_logprobs }))).toEqual([400, words]);
      });
    });

    describe("rendering and resuming", () => {
      const messages = [{ role: "system", content: "Be brief." }, user("Tell me about the sea.")];
      const rendered =
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nTell me about the sea.<|im_end|>\n<|im_start|>assistant\n";

      test("chat and generate tell the prompt they would use, in one object", async () => {
        const fromChat = await ask("chat", { model: chat, messages, _debug_render_only: true });
        const fromGenerate = await ask("generate", {
          model: chat,
          system: "Be brief.",
          prompt: "Tell me about the sea.",
          _debug_render_only: true,
        });
        expect(renderedBy(fromChat)).toBe(rendered);
        expect(renderedBy(fromGenerate)).toBe(rendered);
        expect(Object.keys(fromChat.json())).toEqual(["model", "created_at", "message", "done", "_debug_info"]);
        expect(Object.keys(fromGenerate.json())).toEqual(["model", "created_at", "response", "done", "_debug_info"]);
        expect(fromChat.json()).toMatchObject({ message: { role: "", content: "" }, done: false });
        expect(fromChat.headers["content-type"]).toBe(wholeJson);
      });

      test("images are counted and marked, a raw prompt stays as it is", async () => {
        const withImage = { model: chat, messages: [user("x", { images: ["aGVsbG8="] })], _debug_render_only: true };
        const info = (await ask("chat", withImage)).json()["_debug_info"];
        expect(info).toEqual({
          rendered_template: "<|im_start|>user\n[img-0]x<|im_end|>\n<|im_start|>assistant\n",
          image_count: 1,
        });
        const raw = { model: chat, prompt: "a <b> c", raw: true, _debug_render_only: true };
        expect(renderedBy(await ask("generate", raw))).toBe("a <b> c");
      });

      test("tools are rendered too", async () => {
        const body = { model: target.tools, messages, tools: [WEATHER_TOOL], _debug_render_only: true };
        expect(renderedBy(await ask("chat", body))).toContain('"name":"get_weather"');
      });

      test("rendering loads the model", async () => {
        await unload();
        await ask("chat", { model: chat, messages, _debug_render_only: true });
        expect((await loadedModels()).map((entry) => entry["name"])).toContain(chat);
      });

      test("the rendered prompt with half an answer goes on with the other half", async () => {
        const options = { ...cold, num_predict: 24 };
        const pieces = (await ask("chat", { model: chat, messages, options })).lines().map(pieceOf);
        const prompt = rendered + pieces.slice(0, 8).join("");
        const rest = { model: chat, prompt, raw: true, options: { ...cold, num_predict: 16 } };
        expect(textOf((await ask("generate", rest)).lines())).toBe(pieces.slice(8).join(""));
      });
    });

    describe("embed", () => {
      const length = (vector: unknown): number => Math.hypot(...(vector as number[]));

      test("gives one vector of length 1 per input, with the counts", async () => {
        const answer = await ask("embed", { model: chat, input: ["a river", "a mountain"] });
        expect(answer.headers["content-type"]).toBe(wholeJson);
        const body = answer.json();
        expect(Object.keys(body)).toEqual([
          "model",
          "embeddings",
          "total_duration",
          "load_duration",
          "prompt_eval_count",
        ]);
        const vectors = body["embeddings"] as number[][];
        expect(vectors).toHaveLength(2);
        for (const vector of vectors) expect(length(vector)).toBeCloseTo(1, 4);
        expect(vectors[0]).not.toEqual(vectors[1]);
        const info = (await ask("show", { model: chat })).json()["model_info"] as Json;
        expect(vectors[0]).toHaveLength(Number(info["llama.embedding_length"]));
      });

      test("a text gives the same vector alone and again", async () => {
        const one = (await ask("embed", { model: chat, input: "a river" })).json()["embeddings"] as number[][];
        const two = (await ask("embed", { model: chat, input: ["a river"] })).json()["embeddings"] as number[][];
        expect(dot(one[0], two[0])).toBeCloseTo(1, 3);
      });

      test("dimensions shortens and normalises again", async () => {
        const body = { model: chat, input: "a river", dimensions: 16 };
        const [vector] = (await ask("embed", body)).json()["embeddings"] as number[][];
        expect(vector).toHaveLength(16);
        expect(length(vector)).toBeCloseTo(1, 4);
      });

      test.each([[7], [{ a: 1 }], [["x", 1]]])("input %j is a 400", async (input) => {
        expect(await error("embed", { model: chat, input })).toEqual([400, "invalid input type"]);
      });

      test("the deprecated embeddings route gives one vector", async () => {
        const answer = (await ask("embeddings", { model: chat, prompt: "a river" })).json();
        expect(Object.keys(answer)).toEqual(["embedding"]);
        expect(answer["embedding"]).toSatisfy((vector: unknown) => Array.isArray(vector) && vector.length > 100);
      });
    });

    describe("waiting and leaving", () => {
      beforeEach(() => load());

      test("nothing is sent, not even headers, before the first token", async () => {
        const first = openCall(url, "/api/generate", writing(chat, 60));
        await first.linesReceived(1);
        const second = openCall(url, "/api/generate", writing(chat, 2));
        await pause(150);
        expect(second.hasHeaders()).toBe(false);
        await first.answer;
        const answer = await second.answer;
        expect(answer.lines().at(-1)?.["done"]).toBe(true);
        expect(answer.headersAfterMs).toBeGreaterThan(150);
        const waited = Number(answer.lines().at(-1)?.["total_duration"]) - durationsOf(answer.lines().at(-1) ?? {});
        expect(waited / 1e6).toBeGreaterThan(80);
      });

      test("leaving in mid-stream frees the slot at once", async () => {
        const first = openCall(url, "/api/generate", writing(chat, 400));
        await first.linesReceived(3);
        const second = openCall(url, "/api/generate", writing(chat, 2));
        await pause(50);
        expect(second.hasHeaders()).toBe(false);
        first.destroy();
        const answer = await second.answer;
        expect(answer.headersAfterMs).toBeLessThan(1500);
      });

      test("a half-closed socket counts as leaving", async () => {
        const first = openCall(url, "/api/generate", writing(chat, 400));
        await first.linesReceived(3);
        first.halfClose();
        const second = await send(url, "/api/generate", writing(chat, 2));
        expect(second.headersAfterMs).toBeLessThan(1500);
        expect((await first.answer).lines().at(-1)?.["done"]).not.toBe(true);
      });

      test("leaving while not streaming frees the slot at once", async () => {
        const body = { model: chat, prompt: "Count.", stream: false, options: { ...cold, num_predict: 400 } };
        const first = openCall(url, "/api/generate", { method: "POST", body });
        await pause(400);
        first.destroy();
        const second = await send(url, "/api/generate", writing(chat, 2));
        expect(second.headersAfterMs).toBeLessThan(1500);
      });

      test("one who leaves the queue is never run, and those behind move up", async () => {
        const first = openCall(url, "/api/generate", writing(chat, 60));
        await first.linesReceived(1);
        const quitter = openCall(url, "/api/generate", writing(chat, 400));
        await pause(50);
        const third = openCall(url, "/api/generate", writing(chat, 2));
        await pause(50);
        quitter.destroy();
        const ended = await first.answer;
        const answer = await third.answer;
        expect(answer.headersAfterMs - ended.endAfterMs).toBeLessThan(1500);
      });

      test("a prefill goes on after its caller has left, and the next one waits for it", async () => {
        const alone = await send(url, "/api/generate", reading(chat, "alone"));
        const prefillMs = Number(alone.lines().at(-1)?.["prompt_eval_duration"]) / 1e6;
        const left = openCall(url, "/api/generate", reading(chat, "left"));
        await pause(prefillMs * 0.2);
        expect(left.hasHeaders()).toBe(false);
        left.destroy();
        const next = await send(url, "/api/generate", writing(chat, 2));
        expect(next.headersAfterMs).toBeGreaterThan(prefillMs * 0.4);
      });

      test("an embedding goes on after its caller has left, too", async () => {
        const body = (name: string): object => ({ model: chat, input: readingOf(name) });
        const alone = await ask("embed", body("single"));
        const left = openCall(url, "/api/embed", { method: "POST", body: body("gone") });
        await pause(alone.endAfterMs * 0.2);
        left.destroy();
        const next = await send(url, "/api/generate", writing(chat, 2));
        expect(next.headersAfterMs).toBeGreaterThan(alone.endAfterMs * 0.4);
      });

      test("a prompt that was just read costs next to nothing", async () => {
        const first = (await send(url, "/api/generate", reading(chat, "twice"))).lines().at(-1) ?? {};
        const again = (await send(url, "/api/generate", reading(chat, "twice"))).lines().at(-1) ?? {};
        expect(again["prompt_eval_count"]).toBe(first["prompt_eval_count"]);
        expect(Number(again["prompt_eval_duration"])).toBeLessThan(Number(first["prompt_eval_duration"]) * 0.3);
      });

      test("while one waits for another num_ctx, others still get the runner that is there", async () => {
        const order: string[] = [];
        const note = async (name: string, answer: Promise<Answer>): Promise<void> => {
          expect((await answer).lines().at(-1)).toMatchObject({ done: true });
          order.push(name);
        };
        const first = openCall(url, "/api/generate", writing(chat, 60));
        await first.linesReceived(1);
        const options = { ...cold, num_ctx: 640, num_predict: 2 };
        const other = ask("generate", { model: chat, prompt: "Hi", options });
        await pause(100);
        const same = ask("generate", { model: chat, prompt: "Hi", options: { ...options, num_ctx: 4096 } });
        await Promise.all([note("first", first.answer), note("other", other), note("same", same)]);
        expect(order).toEqual(["first", "same", "other"]);
      });
    });

    describe("when the runner dies", () => {
      beforeEach(() => load());

      test("a running answer ends with an error in a line, and the next request loads anew", async () => {
        const running = openCall(url, "/api/generate", writing(chat, 400));
        await running.linesReceived(3);
        await target.crashRunner(chat);
        const answer = await running.answer;
        expect([answer.status, answer.isComplete]).toEqual([200, true]);
        expect(answer.lines().at(-1)).toEqual({
          error: "an error was encountered while running the model: unexpected EOF",
        });
        const next = (
          await ask("generate", { model: chat, prompt: "Hi", stream: false, options: { num_predict: 1 } })
        ).json();
        expect(next["done"]).toBe(true);
      });

      test("one who waits for the first token gets a 500", async () => {
        const waiting = openCall(url, "/api/generate", reading(chat, "doomed"));
        await pause(400);
        await target.crashRunner(chat);
        const answer = await waiting.answer;
        expect(answer.status).toBe(500);
        expect(answer.json()["error"]).toMatch(/^model runner has unexpectedly stopped, this may be due to/);
      });

      test("embed answers 400 for it, not 500", async () => {
        const input = `doomed ${" river".repeat(900)}`;
        const waiting = openCall(url, "/api/embed", { method: "POST", body: { model: chat, input } });
        await pause(400);
        await target.crashRunner(chat);
        const answer = await waiting.answer;
        expect(answer.status).toBe(400);
        expect(answer.json()["error"]).toMatch(
          /^do embedding request: Post "http:\/\/127\.0\.0\.1:\d+\/embedding": EOF$/,
        );
      });
    });

    test("an answer that says one thing over and over is ended without done after 31 equal pieces", async () => {
      // Digits are tokens of their own, so this string can only be written as 45 equal pieces.
      const format = { type: "object", properties: { n: { type: "string", enum: ["1".repeat(45)] } }, required: ["n"] };
      const answer = await ask("generate", {
        model: chat,
        prompt: "One!",
        format,
        options: { ...cold, num_predict: 80 },
      });
      expect([answer.status, answer.isComplete]).toEqual([200, true]);
      expect(
        answer
          .lines()
          .slice(-32)
          .map(pieceOf)
          .filter((piece) => piece === "1"),
      ).toHaveLength(31);
      expect(answer.lines().at(-1)?.["done"]).toBe(false);
    });
  });
}

/** What shows only with two slots and room for one waiting load (`OLLAMA_NUM_PARALLEL=2`, `OLLAMA_MAX_QUEUE=1`). */
export function describeBusyOllama(
  title: string,
  start: () => Promise<Pick<ContractTarget, "url" | "chat" | "close">>,
): void {
  describe(title, { timeout: 60_000 }, () => {
    let target: Awaited<ReturnType<typeof start>>;
    beforeAll(async () => {
      target = await start();
    }, 120_000);
    afterAll(() => target?.close());

    const write = (tokens: number): ReturnType<typeof openCall> =>
      openCall(target.url, "/api/generate", writing(target.chat, tokens));

    test("when a load runs and another waits, the next request is told that the server is busy", async () => {
      await post(target.url, "/api/generate", { model: target.chat, keep_alive: 0 });
      const calls = Array.from({ length: 6 }, () => write(2));
      const answers = await Promise.all(calls.map((call) => call.answer));
      const statuses = answers.map((answer) => answer.status);
      expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(2);
      const refused = answers.filter((answer) => answer.status === 503);
      expect(refused.length).toBeGreaterThanOrEqual(1);
      for (const answer of refused) {
        expect(answer.json()).toEqual({ error: "server busy, please try again.  maximum pending requests exceeded" });
      }
    });

    test("a loaded model takes any number: two at once, the others in turn", async () => {
      await post(target.url, "/api/generate", { model: target.chat });
      const [first, second] = [write(100), write(100)];
      await Promise.all([first.linesReceived(3), second.linesReceived(3)]);
      const others = Array.from({ length: 8 }, () => write(2));
      await pause(100);
      expect(others.some((call) => call.hasHeaders())).toBe(false);
      first.destroy();
      const answers = await Promise.all(others.map((call) => call.answer));
      expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 8 }, () => 200));
      second.destroy();
    });
  });
}

function user(content: string, extra: Json = {}): Json {
  return { role: "user", content, ...extra };
}

/** A request that writes for a while after a short prompt. */
function writing(model: string, tokens: number): { method: string; body: object } {
  const options = { temperature: 0, num_predict: tokens, repeat_penalty: 1.3 };
  return { method: "POST", body: { model, prompt: "Write a long story about a river.", options } };
}

/** A request that takes seconds to read, and is not in any cache: each has a beginning of its own. */
function reading(model: string, name: string): { method: string; body: object } {
  const options = { temperature: 0, num_predict: 1 };
  return { method: "POST", body: { model, prompt: readingOf(name), options } };
}

function readingOf(name: string): string {
  return Array.from({ length: 60 }, (_, i) => `${name} ${i} walked along the river to the old bridge.`).join(" ");
}

function pieceOf(line: Json): string {
  const message = line["message"] as Json | undefined;
  return String(message?.["content"] ?? line["response"] ?? "");
}

function textOf(lines: readonly Json[]): string {
  return lines.map(pieceOf).join("");
}

function renderedBy(answer: Answer): unknown {
  return (answer.json()["_debug_info"] as Json | undefined)?.["rendered_template"];
}

function isPositiveInteger(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) > 0;
}

/** Nanoseconds that the answer accounts for; the rest of its total is waiting for a slot. */
function durationsOf(line: Json): number {
  return ["load_duration", "prompt_eval_duration", "eval_duration"].reduce(
    (sum, key) => sum + Number(line[key] ?? 0),
    0,
  );
}

async function secondsLeft(models: readonly Json[]): Promise<number> {
  return (Date.parse(String(models[0]?.["expires_at"])) - Date.now()) / 1000;
}

function dot(left: readonly number[] = [], right: readonly number[] = []): number {
  return left.reduce((sum, value, i) => sum + value * (right[i] ?? 0), 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function eventually(check: () => Promise<void>): Promise<void> {
  const endMs = performance.now() + 5000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await pause(25);
    }
  }
}
