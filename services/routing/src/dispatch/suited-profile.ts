/**
 * What a call asks of nodes after one refused it for something that another node may have: a larger context, or the
 * capability. From then on only nodes that are known to have it are asked; without one the refusal stands.
 */
import type { DroverError } from "@drover/platform";
import type { CallProfile } from "../balancing/call-profile.ts";

export function suitedProfile(profile: CallProfile, { kind, facts }: DroverError): CallProfile {
  switch (kind) {
    case "capability_missing":
      return { ...profile, mustTellCapabilities: true };
    case "context_exceeded":
      return { ...profile, contextAbove: exceededContext(profile, facts["context_length"]) };
    default:
      return profile;
  }
}

/** Infinity, which no node exceeds, where a larger one cannot be told, or where the request itself sets it. */
function exceededContext({ namesContext, contextAbove }: CallProfile, told: string | undefined): number {
  const exceeded = Number(told ?? Number.NaN);
  return namesContext || !(exceeded > 0) ? Number.POSITIVE_INFINITY : Math.max(exceeded, contextAbove);
}
