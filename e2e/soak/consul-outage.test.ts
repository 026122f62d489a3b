/** Consul's outages as long as real ones. */
import { consulOutageCases } from "../src/consul-outage.cases.ts";
import { describeWith } from "../src/real-programs.ts";

describeWith(["consul"], "under 100 streams and 20 new calls a second", ({ consul }) => {
  consulOutageCases({ program: consul, outageMs: 600_000, streams: 100 });
});
