import { isLoopbackHost } from "@drover/platform";
import { describe, expect, it } from "vitest";
import { lookUpAddresses } from "./dns-lookup.ts";

describe("looking up a name", () => {
  it("gives its addresses, also those of the hosts file", async () => {
    const answer = await lookUpAddresses("localhost");
    const addresses = answer.kind === "addresses" ? answer.addresses : [];
    expect(addresses.length).toBeGreaterThan(0);
    expect(addresses.every(isLoopbackHost)).toBe(true);
  });

  it("says in plain words why there are none", async () => {
    // RFC 6761: nobody may have this name; a machine without a name server cannot know that.
    const answer = await lookUpAddresses("nobody.invalid");
    const reasons = ["no such name", "no name server answers"];
    expect(reasons).toContain(answer.kind === "failed" ? answer.reason : "");
  });
});
