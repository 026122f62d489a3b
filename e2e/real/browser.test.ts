/**
 * @drover/client in a real Chromium, through a router and an agent, each a process, beside a simulated Ollama: what CORS lets
 * through, that tokens come as they are made, and that whoever leaves frees the node.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AgentService } from "@drover/proto/drover/agent/v1/agent_pb";
import { NodeAvailability, RouterService } from "@drover/proto/drover/router/v1/router_pb";
import type { Fault, RequestPhase, RequestRecord } from "@drover/sim-ollama";
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { bundleForBrowser } from "../src/browser/bundle.ts";
import { startChromium } from "../src/browser/chromium.ts";
import type { Leaving, Probe, Wire } from "../src/browser/probe.ts";
import { type Site, serveSite } from "../src/browser/site.ts";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { describeWith } from "../src/real-programs.ts";
import { type SimOllamaProcess, startSimOllama } from "../src/sim-ollama-process.ts";

declare global {
  /** In the page. */
  var probe: Probe;
}

const WIRES: readonly Wire[] = ["default", "Connect, JSON", "Connect, binary", "gRPC-Web"];
const LEAVINGS: readonly Leaving[] = ["the signal", "the loop", "cancel()"];
/** Chats and embeds. */
const MODEL = "embed";
/** A node whose Ollama does not answer. */
const AWAY = "away";
const TOKENS_PER_SECOND = 20;
const CALL_ID = /^[0-9a-f-]{36}$/;
const ADMIN_TOKEN = "a-token-of-the-operator";
/** Far above what it takes, far below every timer that would free things by itself. */
const soon = { timeout: 3_000, interval: 20 };

describeWith(["chromium"], "@drover/client in Chromium", ({ chromium }) => {
  let folder: string;
  let browser: Browser;
  let site: Site;
  let ollama: SimOllamaProcess;
  let agent: DroverProcess;
  let away: DroverProcess;
  let router: DroverProcess;
  /** `http://host:port` of the router. */
  let at: string;
  let page: Page;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "drover-browser-"));
    const tokenFile = join(folder, "admin-token");
    writeFileSync(tokenFile, ADMIN_TOKEN);
    const example = new URL("../../clients/examples/browser/", import.meta.url);
    const main = await bundleForBrowser(fileURLToPath(new URL("src/main.ts", example)));
    const script = await bundleForBrowser(fileURLToPath(new URL("../src/browser/probe.ts", import.meta.url)));
    site = await serveSite(
      new Map([
        [
          "/",
          {
            type: "text/html",
            body: '<!doctype html><title>probe</title><script type="module" src="/probe.js"></script>',
          },
        ],
        ["/example", { type: "text/html", body: readFileSync(new URL("index.html", example)) }],
        ["/main.js", { type: "text/javascript", body: main }],
        ["/away", { type: "text/html", body: "<!doctype html><title>away</title>" }],
        ["/probe.js", { type: "text/javascript", body: script }],
      ]),
    );
    [browser, ollama] = await Promise.all([
      startChromium(chromium),
      startSimOllama([
        "--models",
        MODEL,
        "--slots",
        "8",
        "--speed",
        String(TOKENS_PER_SECOND),
        "--answer-tokens",
        "100000",
        "--load-seconds",
        "0.1",
      ]),
    ]);
    const admin = ["--admin-token-file", tokenFile];
    agent = await startDrover("agent", [
      "--name",
      "gpu-1",
      "--ollama",
      ollama.url,
      "--slots",
      "8",
      "--labels",
      "gpu=a100",
      ...admin,
    ]);
    away = await startDrover("agent", ["--name", AWAY, "--ollama", "http://127.0.0.1:9"]);
    const nodes = [agent.address, away.address].join(",");
    router = await startDrover("router", ["--nodes", nodes, "--cors-origin", site.origin, ...admin]);
    at = `http://${router.address}`;
    const fleet = createClient(RouterService, grpcTo(router));
    const isSettled = async (): Promise<void> => {
      const availabilities = (await fleet.listNodes({})).nodes.map(({ availability }) => availability);
      expect(availabilities).toEqual([NodeAvailability.OLLAMA_UNREACHABLE, NodeAvailability.AVAILABLE]);
      expect((await fleet.listModels({})).models).toHaveLength(1);
    };
    await vi.waitFor(isSettled, { timeout: 10_000 });
    page = await openPage(site.origin);
  });
  afterAll(async () => {
    await browser?.close();
    await site?.close();
    for (const program of [router, agent, away]) expect((await program?.stop()) ?? 0).toBe(0);
    await ollama?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const grpcTo = ({ address }: DroverProcess) => createGrpcTransport({ baseUrl: `http://${address}` });

  async function openPage(origin: string): Promise<Page> {
    const opened = await browser.newPage();
    await opened.goto(`${origin}/`);
    await opened.waitForFunction("window.probe !== undefined");
    return opened;
  }

  async function script(faults: readonly Fault[]): Promise<void> {
    const answer = await fetch(`${ollama.url}/sim/faults`, { method: "PUT", body: JSON.stringify({ faults }) });
    expect(answer.status).toBe(200);
  }

  /** What Ollama was asked since the last `forget`. */
  async function requests(): Promise<readonly RequestRecord[]> {
    const answer = await fetch(`${ollama.url}/sim/requests`);
    const { requests: all } = (await answer.json()) as { requests: RequestRecord[] };
    return all.filter(({ path }) => ["/api/chat", "/api/generate", "/api/embed"].includes(path));
  }

  const forget = () => fetch(`${ollama.url}/sim/requests`, { method: "DELETE" });

  const chat = (on: Page, wire: Wire, options: Parameters<Probe["chat"]>[3] = {}, model = MODEL) =>
    on.evaluate((...given) => probe.chat(...given), at, wire, model, options);

  /** Ollama's socket is closed in this phase, and neither agent nor router counts the call any more. */
  async function expectFreed(phase: RequestPhase = "decode"): Promise<void> {
    await vi.waitFor(async () => {
      const chats = (await requests()).filter(({ path }) => path === "/api/chat");
      expect(chats).toMatchObject([{ end: { how: "client-closed", phase } }]);
      expect((await createClient(AgentService, grpcTo(agent)).getStatus({})).load).toMatchObject({
        active: 0,
        queued: 0,
      });
      const { nodes } = await createClient(RouterService, grpcTo(router)).listNodes({});
      expect(nodes.map(({ ownAttempts }) => ownAttempts)).toEqual([0, 0]);
    }, soon);
  }

  describe.each(WIRES)("over %s", (wire) => {
    it("streams: each token reaches the page when it is made, and node, attempts and times come with the result", async () => {
      const { text, atMs, result, error } = await chat(page, wire, { numPredict: 40 });
      expect(error).toBeUndefined();
      expect(text.length).toBeGreaterThan(40);
      const spreadMs = (atMs.at(-1) ?? 0) - (atMs[0] ?? 0);
      // 39 gaps of 50 ms, of which a busy machine may lump some; whoever buffered would show all of them as one.
      expect(spreadMs).toBeGreaterThan(600);
      expect(new Set(atMs.map((ms) => Math.round(ms / 25))).size).toBeGreaterThan(5);
      expect(result).toMatchObject({ node: "gpu-1", attempts: 1, generatedTokens: 40 });
      expect(result?.ttftMs).toBeGreaterThan(0);
      expect(result?.callId).toMatch(CALL_ID);
    });

    it("lets the page read the trailers of a unary call", async () => {
      const told = await page.evaluate((...given) => probe.embed(...given), at, wire, MODEL);
      expect(told).toMatchObject({ node: "gpu-1", attempts: 1 });
      expect(told.lengths).toHaveLength(2);
      expect(told.queueMs).toBeGreaterThanOrEqual(0);
      expect(told.callId).toMatch(CALL_ID);
    });

    it("sends whatever the caller says past the preflight, headers of its own included", async () => {
      const options = {
        ...{
          numPredict: 1,
          timeoutMs: 20_000,
          maxWaitMs: 5_000,
          session: "s-1",
          labels: { gpu: "a100" },
          tenant: "shop",
        },
        ...{ class: "interactive" as const, node: "gpu-1", why: true, headers: { "x-team": "web", baggage: "a=b" } },
      };
      const { result, error } = await chat(page, wire, options);
      expect(error).toBeUndefined();
      expect(result?.why).toContain("gpu-1");
      const refused = await chat(page, wire, { labels: { gpu: "h100" } });
      expect(refused.error).toMatchObject({ status: "NOT_FOUND", reason: "MODEL_NOT_FOUND" });
    });

    it("keeps what an error says: reason, when to try again, node, attempts, the call's id", async () => {
      const unknown = await chat(page, wire, {}, "embedd");
      expect(unknown.error).toMatchObject({ status: "NOT_FOUND", reason: "MODEL_NOT_FOUND" });
      expect(unknown.error?.message).toContain(MODEL);
      const waited = await chat(page, wire, { node: AWAY, maxWaitMs: 1 });
      expect(waited.error).toMatchObject({ status: "UNAVAILABLE", reason: "FLEET_NOT_READY" });
      expect(waited.error?.retryAfterMs).toBeGreaterThan(0);
      const embedded = await page.evaluate((...given) => probe.embed(...given), at, wire, "embedd");
      expect(embedded.error).toMatchObject({ status: "NOT_FOUND", reason: "MODEL_NOT_FOUND" });
      expect(embedded.error?.callId).toMatch(CALL_ID);
    });

    it("keeps what had come when an answer breaks", async () => {
      await script([{ kind: "cut", afterChunks: 3, endpoint: "chat" }]);
      const { text, error } = await chat(page, wire);
      await script([]);
      expect(error).toMatchObject({ status: "UNAVAILABLE", reason: "STREAM_BROKEN", node: "gpu-1", attempts: 1 });
      expect(error).toMatchObject({ tokensReceived: 3, partialText: text });
      expect(text).not.toBe("");
    });

    it("ends a call at its deadline, which reaches the router", async () => {
      await script([{ kind: "slow-first-token", delayMs: 5_000, endpoint: "chat" }]);
      const own = await chat(page, wire, { timeoutMs: 300 });
      expect(own.error).toMatchObject({ status: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" });
      // Without a timer in the page only the router can have ended it.
      const isConnect = wire.startsWith("Connect");
      const headers: Record<string, string> = isConnect ? { "connect-timeout-ms": "300" } : { "grpc-timeout": "300m" };
      const { error } = await chat(page, wire, { headers });
      await script([]);
      expect(error).toMatchObject({ status: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" });
    });

    it("answers questions about the fleet, and streams its changes", async () => {
      const told = await page.evaluate((...given) => probe.fleet(...given), at, wire, MODEL);
      expect(told).toMatchObject({
        nodes: [{ name: AWAY }, { name: "gpu-1" }],
        models: [{ name: expect.stringContaining(MODEL) }],
        event: "snapshot",
      });
    });

    it("changes the fleet with the admin token, and not without", async () => {
      const ask = (token: string) =>
        page.evaluate((...given) => probe.drainAndResume(...given), at, wire, token, "gpu-1");
      expect((await ask("wrong")).error).toMatchObject({ status: "PERMISSION_DENIED" });
      expect(await ask(ADMIN_TOKEN)).toEqual({});
    });

    it.each(LEAVINGS)("stops the node when a caller leaves by %s", async (leaving) => {
      await forget();
      await page.evaluate((...given) => probe.begin(...given), at, wire, MODEL, leaving);
      await page.evaluate((how) => probe.leave(how), leaving);
      await expectFreed();
    });

    it("stops the node when the page is closed", async () => {
      await forget();
      const closing = await openPage(site.origin);
      await closing.evaluate((...given) => probe.begin(...given), at, wire, MODEL);
      await closing.close();
      await expectFreed();
    });
  });

  it("stops the node when the page is closed before the first token", async () => {
    await script([{ kind: "slow-first-token", delayMs: 20_000, endpoint: "chat" }]);
    await forget();
    const closing = await openPage(site.origin);
    // It ends with the page.
    closing.evaluate((...given) => probe.begin(...given), at, "default" as const, MODEL).catch(() => undefined);
    await vi.waitFor(async () => expect(await requests()).toMatchObject([{ phase: "prefill" }]), soon);
    await closing.close();
    await expectFreed("prefill");
    await script([]);
  });

  it("stops the node when the example's page is left for another one, which Chromium keeps alive for a minute", async () => {
    await forget();
    const leaving = await browser.newPage();
    await leaving.goto(`${site.origin}/example?router=${encodeURIComponent(at)}`);
    await leaving.locator('::-p-aria([name="Send"][role="button"])').click();
    await leaving.waitForFunction("document.querySelector('#answer').textContent !== ''");
    await leaving.goto(`${site.origin}/away`);
    await expectFreed();
    await leaving.close();
  });

  it("streams to two tabs at once", async () => {
    const other = await openPage(site.origin);
    const [one, two] = await Promise.all([
      chat(page, "default", { numPredict: 30 }),
      chat(other, "default", { numPredict: 30 }),
    ]);
    await other.close();
    for (const { result, atMs } of [one, two]) {
      expect(result).toMatchObject({ node: "gpu-1", generatedTokens: 30 });
      expect((atMs.at(-1) ?? 0) - (atMs[0] ?? 0)).toBeGreaterThan(1_000);
    }
  });

  it("asks once whether it may call, not before every call", async () => {
    const asking = await openPage(site.origin);
    const network = await asking.createCDPSession();
    await network.send("Network.enable");
    const types: string[] = [];
    network.on("Network.requestWillBeSent", ({ type }) => types.push(type ?? ""));
    for (let call = 0; call < 3; call++)
      await asking.evaluate((...given) => probe.embed(...given), at, "default" as const, MODEL);
    await asking.close();
    expect(types.filter((type) => type !== "Preflight")).toHaveLength(3);
    expect(types.filter((type) => type === "Preflight").length).toBeLessThanOrEqual(1);
  });

  describe("a page of another origin", () => {
    let other: Page;
    beforeAll(async () => {
      other = await openPage(site.otherOrigin);
      await forget();
    });
    afterAll(() => other.close());

    it.each(WIRES)("is refused over %s, and no node hears of it", async (wire) => {
      const { error } = await chat(other, wire);
      expect(error).toMatchObject({ reason: "ROUTER_UNREACHABLE" });
      expect(error?.message).toContain("--cors-origin");
      const embedded = await other.evaluate((...given) => probe.embed(...given), at, wire, MODEL);
      expect(embedded.error).toMatchObject({ reason: "ROUTER_UNREACHABLE" });
      expect(await requests()).toEqual([]);
    });

    it("has nothing executed by what browsers send without asking", async () => {
      const url = `${at}/drover.inference.v1.InferenceService/Embed`;
      const body = JSON.stringify({ model: MODEL, input: ["a"] });
      expect(await other.evaluate((...given) => probe.blind(...given), url, body)).toBe("opaque");
      expect(await requests()).toEqual([]);
    });
  });
});
