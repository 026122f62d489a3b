/** What the router's metrics show of discovery: how old what each source says is, whether it is believed, whom it names. */
import type { Clock, Telemetry } from "@drover/platform";
import type { FleetSnapshot, MembershipSource, Standing } from "@drover/routing";

export interface MembershipTelemetryOptions {
  readonly telemetry: Telemetry;
  readonly clock: Clock;
  readonly sources: readonly Pick<MembershipSource, "name" | "status">[];
  readonly snapshot: () => FleetSnapshot;
}

const STANDINGS: readonly Standing["kind"][] = ["serving", "draining", "down", "suspect"];

export function observeMembership({ telemetry, clock, sources, snapshot }: MembershipTelemetryOptions): void {
  telemetry.observe("membershipAge", (tell) => {
    for (const { name: source, status } of sources) {
      const { answeredMs } = status();
      // A list of flags does not grow old.
      if (answeredMs === undefined || source === "static") continue;
      tell((clock.nowMs() - answeredMs) / 1_000, { source });
    }
  });
  telemetry.observe("membershipTrouble", (tell) => {
    for (const { name: source, status } of sources) tell(status().trouble === "" ? 0 : 1, { source });
  });
  telemetry.observe("membershipSuspect", (tell) => {
    for (const { name: source, status } of sources) tell(status().suspicion === "" ? 0 : 1, { source });
  });
  telemetry.observe("members", (tell) => {
    const { members } = snapshot();
    for (const { name: source } of sources) {
      const named = members.filter((member) => member.sources.includes(source));
      for (const standing of STANDINGS) {
        const count = named.filter(({ told }) => (told?.standing.kind ?? "serving") === standing).length;
        tell(count, { source, standing });
      }
    }
  });
}
