/** A client over TLS: whom it believes, what it says when it does not, and where its token goes. The front is the test's own, or nginx. */
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { createDroverClient, type DroverClientOptions, type DroverError } from "@drover/client";
import { createSimOllama, type SimOllama } from "@drover/sim-ollama";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { type DroverProcess, startDrover } from "../src/drover-process.ts";
import { freePort } from "../src/free-port.ts";
import { describeWith } from "../src/real-programs.ts";
import { type Certificate, createAuthority, openTlsFront, type TestAuthority } from "../src/tls-front.ts";

const MODEL = "chat";
const messages = [{ role: "user", content: "Tell me a story" }] as const;
const TOKEN = "an-admin-token-of-this-test";

describeWith(["openssl"], "a client and a router behind TLS", ({ openssl }) => {
  let ollama: SimOllama;
  let agent: DroverProcess;
  let router: DroverProcess;
  let authority: TestAuthority;
  let stranger: TestAuthority;
  let here: Certificate;
  const ends: (() => unknown)[] = [];

  beforeAll(async () => {
    authority = createAuthority(openssl);
    stranger = createAuthority(openssl);
    here = authority.issue("here", { names: "DNS:localhost,IP:127.0.0.1" });
    ollama = await createSimOllama({ models: [MODEL], speed: 200, loadSeconds: 0, answerTokens: 20 });
    const tokenFile = join(authority.folder, "token");
    writeFileSync(tokenFile, TOKEN, { mode: 0o600 });
    agent = await startDrover("agent", ["--ollama", ollama.url, "--name", "one", "--admin-token-file", tokenFile]);
    router = await startDrover("router", ["--nodes", agent.address, "--admin-token-file", tokenFile]);
    await using client = createDroverClient({ address: router.address });
    await vi.waitFor(async () => expect(await client.fleet.listModels()).toHaveLength(1), { timeout: 15_000 });
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  afterAll(async () => {
    await router?.stop("SIGKILL");
    await agent?.stop("SIGKILL");
    await ollama?.close();
    authority.close();
    stranger.close();
  });

  const front = async (certificate = here, clientCa?: string): Promise<number> => {
    const opened = await openTlsFront(certificate, router.address, clientCa);
    ends.push(() => opened.close());
    return opened.port;
  };
  const clientOf = (options: DroverClientOptions) => {
    const client = createDroverClient(options);
    ends.push(() => client.close());
    return client;
  };
  const failureOf = async (options: DroverClientOptions): Promise<DroverError> =>
    clientOf(options)
      .health()
      .then(
        () => expect.fail("it did not fail"),
        (error: DroverError) => error,
      );

  it("stream over it, trailers included, with the right CA", async () => {
    const client = clientOf({ address: `https://localhost:${await front()}`, tls: { ca: authority.ca } });
    let pieces = 0;
    const answer = client.chat({ model: MODEL, messages });
    for await (const _ of answer) pieces += 1;
    expect(pieces).toBeGreaterThan(10);
    expect(await answer.result()).toMatchObject({ node: "one", attempts: 1 });
  });

  it("take an address without a scheme as https where tls is given, and bytes as well as text", async () => {
    const ca = [new TextEncoder().encode(stranger.ca), authority.ca];
    expect(await clientOf({ address: `127.0.0.1:${await front()}`, tls: { ca } }).health()).toBe("SERVING");
  });

  it("say in one sentence that the CA is not trusted, and what to do", async () => {
    for (const tls of [undefined, { ca: stranger.ca }]) {
      const failure = await failureOf({ address: `https://localhost:${await front()}`, tls });
      expect(failure.reason).toBe("ROUTER_UNREACHABLE");
      expect(failure.message).toMatch(/its certificate is .*signed by .*: pass .* as tls\.ca\.$/);
    }
  });

  it("say in one sentence that the certificate is for another name; tls.serverName names it", async () => {
    const port = await front(authority.issue("other", { names: "DNS:router.example" }));
    const failure = await failureOf({ address: `https://localhost:${port}`, tls: { ca: authority.ca } });
    expect(failure.message).toContain("its certificate is for DNS:router.example: use such an address, or pass");
    const tls = { ca: authority.ca, serverName: "router.example" };
    expect(await clientOf({ address: `https://localhost:${port}`, tls }).health()).toBe("SERVING");
  });

  it("ask for the name of dns:///, not for the numbers behind it", async () => {
    const port = await front(authority.issue("named", { names: "DNS:localhost" }));
    const tls = { ca: authority.ca };
    expect(await clientOf({ address: `dns:///localhost:${port}`, tls }).health()).toBe("SERVING");
    const failure = await failureOf({ address: `https://127.0.0.1:${port}`, tls });
    expect(failure.message).toContain("its certificate is for DNS:localhost");
  });

  it("say in one sentence that the certificate has expired; rejectUnauthorized: false takes it all the same", async () => {
    const port = await front(authority.issue("old", { names: "DNS:localhost", days: -1 }));
    const failure = await failureOf({ address: `https://localhost:${port}`, tls: { ca: authority.ca } });
    expect(failure.message).toMatch(/: its certificate has expired\.$/);
    const client = clientOf({ address: `https://localhost:${port}`, tls: { rejectUnauthorized: false } });
    expect(await client.health()).toBe("SERVING");
  });

  it("show a certificate of their own where the other side wants one, and say so where they have none", async () => {
    const port = await front(here, authority.ca);
    const address = `https://localhost:${port}`;
    const { cert, key } = authority.issue("client", { names: "DNS:client" });
    expect(await clientOf({ address, tls: { ca: authority.ca, cert, key } }).health()).toBe("SERVING");
    expect((await failureOf({ address, tls: { ca: authority.ca } })).message).toContain("tls.cert and tls.key");
    const foreign = stranger.issue("client", { names: "DNS:client" });
    const refused = await failureOf({ address, tls: { ca: authority.ca, cert: foreign.cert, key: foreign.key } });
    expect(refused.message).toContain("tls.cert");
  });

  it("say so when there is no TLS where they expect it, and none where there is", async () => {
    expect((await failureOf({ address: `https://${router.address}` })).message).toContain("does not speak TLS");
    const clear = await failureOf({ address: `http://localhost:${await front()}` });
    expect(clear.reason).toBe("ROUTER_UNREACHABLE");
    expect(clear.message).toMatch(/is it https there|does not speak HTTP\/2|reset/);
  });

  it("refuse at once what is no PEM, a key of another certificate, and http with tls", () => {
    const { key } = stranger.issue("loose", { names: "DNS:loose" });
    const make = (options: DroverClientOptions) => () => createDroverClient(options);
    expect(make({ tls: { ca: "/etc/ca.pem", cert: "x" } })).toThrow(
      /tls\.ca is no PEM .* tls\.cert is no PEM .* belong together/,
    );
    expect(make({ tls: { cert: here.cert, key } })).toThrow(/cannot be used/);
    expect(make({ address: "http://localhost:1", tls: { ca: authority.ca } })).toThrow(/http, and tls is given/);
  });

  describe("the token", () => {
    it("goes over TLS, from a text or from a function that is asked for each call", async () => {
      const address = `https://localhost:${await front()}`;
      let asked = 0;
      const token = (): Promise<string> => Promise.resolve(asked++ === 0 ? TOKEN : "another");
      const client = clientOf({ address, tls: { ca: authority.ca }, token });
      await client.fleet.drainNode("one", "test");
      await expect(client.fleet.resumeNode("one")).rejects.toMatchObject({ reason: "PERMISSION_DENIED" });
      expect(asked).toBe(2);
      await clientOf({ address, tls: { ca: authority.ca }, token: TOKEN }).fleet.resumeNode("one");
    });

    it("goes in the clear to this machine only, unless that is allowed", async () => {
      await clientOf({ address: router.address, token: TOKEN }).fleet.resumeNode("one");
      const elsewhere = "http://router.example:50051";
      expect(() => createDroverClient({ address: [elsewhere, "http://10.0.0.1:1"], token: TOKEN })).toThrow(
        /not sent to http:\/\/router\.example:50051 in the clear.*10\.0\.0\.1/,
      );
      expect(() => createDroverClient({ address: elsewhere, token: TOKEN, allowInsecureToken: true })).not.toThrow();
      expect(() => createDroverClient({ address: elsewhere.replace("http", "https"), token: TOKEN })).not.toThrow();
      // Known only when it is resolved.
      const own = Object.values(networkInterfaces())
        .flat()
        .find((each) => each?.internal === false);
      if (own === undefined) return;
      const failure = await failureOf({ address: `dns:///${own.address}:50051`, token: TOKEN });
      expect(failure).toMatchObject({ reason: "INVALID_ARGUMENT_LOCAL" });
      expect(failure.message).toContain("in the clear");
    });

    it("is never shown in an error, and a function that fails is told as such", async () => {
      const bad = { address: router.address, token: () => `${TOKEN}\nx` };
      const failure = await failureOf(bad);
      expect(failure).toMatchObject({ reason: "TOKEN_UNAVAILABLE", status: "UNAUTHENTICATED" });
      expect(JSON.stringify([failure.message, String(failure.cause)])).not.toContain(TOKEN);
      const thrown = new Error("vault is sealed");
      const sealed = await failureOf({ address: router.address, token: () => Promise.reject(thrown) });
      expect(sealed.reason).toBe("TOKEN_UNAVAILABLE");
    });
  });

  describeWith(["nginx"], "behind nginx with grpc_pass", ({ nginx }) => {
    it("stream over TLS and HTTP/2, trailers included", async () => {
      const { port, stop } = await startNginx(nginx, authority, here, router.address);
      ends.push(stop);
      const client = clientOf({ address: `https://localhost:${port}`, tls: { ca: authority.ca } });
      await vi.waitFor(async () => expect(await client.health()).toBe("SERVING"), { timeout: 10_000 });
      expect(await client.chat({ model: MODEL, messages }).result()).toMatchObject({ node: "one", attempts: 1 });
      await expect(client.chat({ model: "none", messages }).text()).rejects.toMatchObject({
        reason: "MODEL_NOT_FOUND",
      });
    });
  });
});

/** Returns the port at which it ends TLS and HTTP/2. */
async function startNginx(
  program: string,
  { folder }: TestAuthority,
  { certFile, keyFile }: Certificate,
  router: string,
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const configuration = `daemon off; master_process off; pid ${folder}/nginx.pid; error_log stderr crit;
    events {}
    http { access_log off; ${temporary.join(" ")}
      server { listen 127.0.0.1:${port} ssl http2; ssl_certificate ${certFile}; ssl_certificate_key ${keyFile};
        location / { grpc_pass grpc://${router}; } } }`;
  const file = join(folder, "nginx.conf");
  writeFileSync(file, configuration);
  const child = spawn(program, ["-p", folder, "-c", file, "-e", "stderr"], { stdio: ["ignore", "ignore", "inherit"] });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    port,
    stop: () => {
      child.kill("SIGKILL");
      return exited;
    },
  };
}
