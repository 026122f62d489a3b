/** `npm start` beside the real Ollama, with the line for grpcurl as it is printed. */
import { kill } from "node:process";
import { expect, it } from "vitest";
import { startRealOllama } from "../src/real-ollama.ts";
import { describeWith } from "../src/real-programs.ts";
import { runProgram } from "../src/run-program.ts";
import { leftAfter, runStart } from "../src/start-process.ts";

describeWith(["ollama", "model", "grpcurl"], "npm start beside the real Ollama", () => {
  it("streams an answer of its model, and the printed grpcurl line works when pasted", async () => {
    const ollama = await startRealOllama();
    const process = runStart([], { env: { OLLAMA_HOST: ollama.address } });
    try {
      const address = await process.serves();
      const shown = process.stdout();
      expect(shown).toMatch(/^Nodes {3}local-\d+ +Ollama 0\.24\.0 at http:\/\/127\.0\.0\.1:\d+$/m);
      expect(shown).toMatch(
        /^smollm2(-tools)?:135m < [\s\S]+\S\n\nlocal-\d+ answered; 1 attempt, first token after \d+ ms\.$/m,
      );

      const line = /^grpcurl .*$/m.exec(shown)?.[0] ?? "";
      expect(line).toContain(address);
      const { code, stdout, stderr } = await runProgram("sh", ["-c", line]);
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toContain('"done": {');

      const programs = process.descendants();
      process.signal("SIGTERM");
      expect(await process.ended).toMatchObject({ code: 0, stderr: "" });
      expect(await leftAfter(programs)).toEqual([]);
    } finally {
      process.killAll();
      await ollama.close();
    }
  });
});

describeWith(["consul"], "npm start with a Consul of its own", () => {
  it("lets the router find the agents there, answers the sample, and leaves nothing behind", async () => {
    // Nothing answers at port 9, so the nodes are simulated.
    const process = runStart(["--consul"], { env: { OLLAMA_HOST: "127.0.0.1:9" } });
    try {
      await process.serves();
      expect(process.stdout()).toMatch(/^Consul {2}http:\/\/127\.0\.0\.1:\d+\/ui$/m);
      expect(process.stdout()).toMatch(/ answered; 1 attempt,/);
      const programs = process.descendants();
      expect(programs.map(({ command }) => command).join("\n")).toMatch(/drover-router\.js .*--consul http/);
      process.signal("SIGTERM");
      expect(await process.ended).toMatchObject({ code: 0, stderr: "" });
      expect(await leftAfter(programs)).toEqual([]);
    } finally {
      process.killAll();
    }
  });

  it("takes its Consul along when it is killed, and when Consul is killed it ends with 1", async () => {
    for (const killed of ["npm start", "consul"]) {
      const process = runStart(["--consul", "--no-sample"], { env: { OLLAMA_HOST: "127.0.0.1:9" } });
      try {
        await process.serves();
        const programs = process.descendants();
        const consul = programs.find(({ command }) => command.startsWith("consul agent -dev"));
        if (consul === undefined) throw new Error("there is no Consul");
        if (killed === "consul") kill(consul.pid, "SIGKILL");
        else process.signal("SIGKILL");
        expect((await process.ended).code).toBe(killed === "consul" ? 1 : null);
        if (killed === "consul") expect(process.stdout()).toContain("Consul ended unexpectedly");
        expect(await leftAfter(programs)).toEqual([]);
      } finally {
        process.killAll();
      }
    }
  }, 90_000);

  it("says where to get it when it is not on PATH", async () => {
    const process = runStart(["--consul"], { env: { OLLAMA_HOST: "127.0.0.1:9", PATH: "/nowhere" } });
    expect((await process.ended).code).toBe(2);
    expect((await process.ended).stderr).toContain("Get it at https://developer.hashicorp.com/consul/install");
  });
});
