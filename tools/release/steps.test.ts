import { expect, it } from "vitest";
import { publishCommands, releaseSteps } from "./steps.ts";

function workspace(
  name: string,
  dependencies: Record<string, string>,
  marker: object = { publishConfig: { access: "public" } },
) {
  return { folder: name, manifest: { name: `@drover/${name}`, version: "0.1.0", dependencies, ...marker } };
}

const release = {
  version: "0.2.0",
  day: "2026-02-03",
  workspaces: [workspace("router", { "@drover/proto": "0.1.0" }), workspace("proto", {}), workspace("bench", {}, {})],
};

it("begins with the check, packs before it commits, and ends with the tag", () => {
  const said = releaseSteps(release).map(({ says }) => says);
  expect(said[0]).toBe("npm run check, and stop if anything is red");
  expect(said.findIndex((each) => each.startsWith("npm run pack"))).toBeLessThan(
    said.indexOf('commit "release: 0.2.0"'),
  );
  expect(said.at(-1)).toBe("tag the commit v0.2.0");
});

it("leaves publishing to a person, in the order of dependencies, and private workspaces out of it", () => {
  expect(publishCommands(release)).toEqual([
    "git push --follow-tags origin main",
    "npm publish dist/drover-proto-0.2.0.tgz",
    "npm publish dist/drover-router-0.2.0.tgz",
  ]);
});
