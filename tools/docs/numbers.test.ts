/** The numbers in docs/how-a-call-is-placed.md are those of the code. */
import { expect, it } from "vitest";
import { HANG_DEFAULTS } from "../../services/routing/src/dispatch/hang-options.ts";
import { RETRY_DEFAULTS } from "../../services/routing/src/dispatch/retry-options.ts";
import { HEALTH_DEFAULTS } from "../../services/routing/src/health/health-options.ts";
import { readPage } from "./pages.ts";

const PAGE = readPage("docs/how-a-call-is-placed.md").replace(/\s+/g, " ");
const WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
const seconds = (ms: number): string => `${ms / 1_000} s`;

const { consecutiveFailures, consecutiveHangs, baseEjectionMs, maxEjectionMs, maxEjectedShare, failureLoadMs } =
  HEALTH_DEFAULTS;
const { attemptsMax, budgetRatio, budgetReserve, backoffFirstMs, backoffLastMs } = RETRY_DEFAULTS;
const hang = HANG_DEFAULTS;

it.each([
  `counts here too, for ${seconds(failureLoadMs)}:`,
  `a ${budgetRatio === 0.2 ? "fifth" : "?"} of the calls of the last 10 s and ${budgetReserve} more`,
  `a random pause of up to ${backoffFirstMs} ms, which doubles up to ${seconds(backoffLastMs)}`,
  `at most ${WORDS[attemptsMax]} attempts (\`--attempts-max\`)`,
  `said nothing of the call for ${seconds(hang.firstWordMs)} at first and ${hang.nextWordMs / 1_000} s later`,
  `the longer of ${seconds(hang.quietSlotMs)} and ${WORDS[hang.prefillFactor]} times the time that the prompt should take and ${seconds(hang.prefillSlackMs)} more`,
  `At most ${hang.budgetRatio * 100} % of the calls and ${WORDS[hang.budgetReserve]} a minute get one`,
  `${WORDS[consecutiveFailures]?.replace(/^f/, "F")} failures in a row (\`--eject-after\`)`,
  `gets no calls for ${seconds(baseEjectionMs)} (\`--eject-time\`)`,
  `up to ${seconds(maxEjectionMs)} (\`--eject-time-max\`)`,
  `At most ${maxEjectedShare === 0.5 ? "half" : "?"} of the nodes`,
  `${WORDS[consecutiveHangs]?.replace(/^t/, "T")} calls in a row that hung`,
])("the page says: %s", (sentence) => {
  expect(PAGE).toContain(sentence);
});
