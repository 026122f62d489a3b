import { describe, expect, it } from "vitest";
import { publishOrder, readManifest, readWorkspaces, type Workspace, workspaceProblems } from "./workspaces.ts";

function workspace(name: string, dependencies: Record<string, string>, isPublished = true): Workspace {
  const marker = isPublished ? { publishConfig: { access: "public" } } : {};
  return { folder: name, manifest: { name, version: "1.0.0", private: true, dependencies, ...marker } };
}

describe("the workspaces of this repository", () => {
  const workspaces = readWorkspaces();

  it("have the version of the root, private manifests, and publish whatever a published one needs", () => {
    expect(workspaceProblems(workspaces, readManifest(".").version)).toEqual([]);
  });

  it("are published in the order of their dependencies", () => {
    const names = publishOrder(workspaces).map(({ manifest }) => manifest.name);
    expect([...names].sort()).toEqual(
      ["agent", "client", "platform", "proto", "router", "routing", "sim-ollama"].map((name) => `@drover/${name}`),
    );
    expect(names.indexOf("@drover/proto")).toBeLessThan(names.indexOf("@drover/platform"));
    expect(names.indexOf("@drover/platform")).toBeLessThan(names.indexOf("@drover/routing"));
    expect(names.indexOf("@drover/routing")).toBeLessThan(names.indexOf("@drover/router"));
  });
});

it("puts each package after what it depends on, and refuses a circle", () => {
  const [a, b, c] = [workspace("a", { b: "1.0.0" }), workspace("b", { c: "1.0.0" }), workspace("c", {})];
  expect(publishOrder([a, b, c])).toEqual([c, b, a]);
  expect(() => publishOrder([a, workspace("b", { a: "1.0.0" })])).toThrow("these packages depend on each other: a, b");
});

it("leaves private workspaces at home, and says when a published one needs them", () => {
  const [a, hidden] = [workspace("a", { hidden: "1.0.0" }), workspace("hidden", {}, false)];
  expect(publishOrder([a, hidden])).toEqual([a]);
  expect(workspaceProblems([a, hidden], "1.0.0")).toEqual(["a is published and needs hidden, which is not"]);
});

it("names each version that is not the root's", () => {
  const [a, b] = [workspace("a", { b: "0.9.0" }), workspace("b", {})];
  expect(workspaceProblems([a, b], "1.0.0")).toEqual(["a wants b 0.9.0, the root has 1.0.0"]);
  expect(workspaceProblems([b], "2.0.0")).toEqual(["b has version 1.0.0, the root 2.0.0"]);
});
