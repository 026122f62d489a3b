// Four kinds of test. unit: beside the source, no processes. system: Drover's own processes, nothing to download; part
// of `npm test`. e2e: real Ollama, grpcurl and the like, or slow; `npm run e2e`. soak: what has to go on for long; `npm run soak`, never in CI.
import { defineConfig } from "vitest/config";

const processes = { pool: "forks" as const, fileParallelism: false, testTimeout: 30_000, hookTimeout: 60_000 };

export default defineConfig({
  test: {
    reporters: ["default", "./tools/tally-reporter.ts"],
    // `npm run coverage`: of the client alone, which applications build on and no other program of ours runs.
    coverage: {
      provider: "v8",
      include: ["clients/typescript/src/**/*.ts"],
      exclude: ["**/*.test.ts", "**/*.cases.ts", "**/testing/**"],
      reporter: ["text", "json-summary"],
      reportsDirectory: "node_modules/.coverage",
      thresholds: { lines: 90 },
    },
    projects: [
      {
        test: {
          name: "unit",
          pool: "forks",
          // Files share their worker's modules, which hold no state: loading them anew for each file took two thirds of the time.
          isolate: false,
          sequence: { groupOrder: 0 },
          include: ["{proto,services,clients,bench,tools}/**/*.test.ts"],
          exclude: ["**/node_modules/**", "proto/gen/**"],
          testTimeout: 5_000,
        },
      },
      {
        test: {
          ...processes,
          // Two at a time: they mostly wait, for processes to start and for time to pass.
          fileParallelism: true,
          maxWorkers: 2,
          name: "system",
          // After the unit tests: vitest runs projects with workers of different kinds one after the other.
          sequence: { groupOrder: 1 },
          include: ["e2e/**/*.test.ts"],
          exclude: ["**/node_modules/**", "e2e/real/**", "e2e/soak/**"],
        },
      },
      { test: { ...processes, name: "e2e", include: ["e2e/real/**/*.test.ts"] } },
      { test: { ...processes, name: "soak", include: ["e2e/soak/**/*.test.ts"] } },
    ],
  },
});
