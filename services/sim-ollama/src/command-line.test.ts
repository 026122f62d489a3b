import { expect, test } from "vitest";
import { readCommandLine } from "./command-line.ts";

test("defaults are those of Ollama", () => {
  expect(readCommandLine(["--models", "a, b:1b"])).toEqual({
    kind: "run",
    options: {
      host: "127.0.0.1",
      port: 11_434,
      models: ["a", "b:1b"],
      slots: 1,
      speed: 50,
      prefillSpeed: 2000,
      loadSeconds: 0.5,
      context: 4096,
      answerTokens: 0,
      seed: 0,
    },
  });
});

test("addresses may be a name, IPv6 or a port alone", () => {
  const addressOf = (text: string): unknown => {
    const read = readCommandLine(["--models", "a", "--listen", text]);
    return read.kind === "run" ? [read.options.host, read.options.port] : read.kind;
  };
  expect(addressOf("localhost:0")).toEqual(["localhost", 0]);
  expect(addressOf("[::1]:80")).toEqual(["::1", 80]);
  expect(addressOf(":80")).toEqual(["127.0.0.1", 80]);
});

test("a model may be told what it can do", () => {
  const read = readCommandLine(["--models", "a=embedding,b=completion+tools"]);
  expect(read.kind === "run" && read.options.models).toEqual([
    { name: "a", capabilities: ["embedding"] },
    { name: "b", capabilities: ["completion", "tools"] },
  ]);
});

test.each([
  [[], "--models needs at least one name"],
  [["--models", ","], "--models needs at least one name"],
  [["--models", "a=fly"], 'but not "fly"'],
  [["--models", "a", "--slots", "0"], '--slots must be a whole number from 1 to 1024, not "0"'],
  [["--models", "a", "--slots", "1.5"], '--slots must be a whole number from 1 to 1024, not "1.5"'],
  [["--models", "a", "--speed", "fast"], '--speed must be a number from 0.01 to 1000000, not "fast"'],
  [["--models", "a", "--load-seconds", ""], '--load-seconds must be a number from 0 to 86400, not ""'],
  [["--models", "a", "--listen", "here"], '--listen must be HOST:PORT, such as 127.0.0.1:11434, not "here"'],
  [["--models", "a", "--listen", "h:99999"], '--listen must be HOST:PORT, such as 127.0.0.1:11434, not "h:99999"'],
  [["--model", "a"], "Unknown option '--model'"],
  [["--models", "a", "more"], "Unexpected argument 'more'"],
])("%j is wrong in one sentence", (args, words) => {
  const read = readCommandLine(args);
  expect(read.kind).toBe("wrong");
  expect(read.kind === "wrong" && read.sentence).toContain(words);
  expect(read.kind === "wrong" && read.sentence).toMatch(/^[^\n]+\. Try --help\.$/);
});

test("help names every flag", () => {
  const read = readCommandLine(["--help"]);
  for (const flag of ["models", "listen", "slots", "speed", "prefill-speed", "load-seconds", "context", "seed"]) {
    expect(read.kind === "help" && read.text).toContain(`--${flag} `);
  }
});
