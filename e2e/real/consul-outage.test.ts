/** Consul's outages, short enough for every run; `npm run soak` has the long ones. */
import { consulOutageCases } from "../src/consul-outage.cases.ts";
import { describeWith } from "../src/real-programs.ts";

describeWith(["consul"], "under streams and new calls", ({ consul }) => {
  consulOutageCases({ program: consul, outageMs: 15_000, streams: 30 });
});
