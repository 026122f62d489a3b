// Ends a test run with one line `N passed, N failed[, N skipped]`. Counts a file that did not load, and an error outside
// any test, as a failure: vitest's own JSON reporter leaves those out.
import type { Reporter, TestModule } from "vitest/node";

export default class TallyReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    const tally = { passed: 0, failed: errors.length, skipped: 0, pending: 0 };
    for (const module of modules) {
      for (const test of module.children.allTests()) tally[test.result().state]++;
      if (module.state() === "failed" && module.errors().length > 0) tally.failed++;
    }
    const skipped = tally.skipped > 0 ? `, ${tally.skipped} skipped` : "";
    const line = `${tally.passed} passed, ${tally.failed} failed${skipped}\n`;
    process.once("exit", () => process.stdout.write(line));
  }
}
