import { expect, it } from "vitest";
import { ollamaHostUrl } from "./ollama-host.ts";

it.each([
  [undefined, "http://127.0.0.1:11434"],
  ["", "http://127.0.0.1:11434"],
  ["0.0.0.0", "http://127.0.0.1:11434"],
  ["0.0.0.0:1234", "http://127.0.0.1:1234"],
  [":1234", "http://127.0.0.1:1234"],
  ["gpu", "http://gpu:11434"],
  ["gpu:80", "http://gpu"],
  ["http://gpu", "http://gpu"],
  ["https://gpu/base/", "https://gpu/base"],
  ["::1", "http://[::1]:11434"],
  ["[::]:5", "http://[::1]:5"],
  [" 'gpu:1' ", "http://gpu:1"],
  ["a b", undefined],
  ["http://", undefined],
  ["ftp://gpu", undefined],
])("reads OLLAMA_HOST %j as %j", (given, expected) => {
  expect(ollamaHostUrl(given)).toBe(expected);
});
