import { expect, it } from "vitest";
import { joinedList, type RouterList, staticList } from "./router-list.ts";

const listOf = (urls: RouterList["urls"]): RouterList => ({
  urls,
  freshUrls: async () => urls(),
  close: () => undefined,
});
const silent = listOf(() => new Promise(() => undefined));
const failing = listOf(() => Promise.reject(new Error("no name server answers")));

it("has what is known at once, however long another list lets wait, and each router once", () => {
  const lists = [staticList(["http://a:1"]), silent, failing, staticList(["http://b:1", "http://a:1"])];
  expect(joinedList(lists).urls()).toEqual(["http://a:1", "http://b:1"]);
});

it("waits for all lists while none is known, and leaves out those that cannot say anything", async () => {
  const found = listOf(async () => ["http://c:1"]);
  expect(await joinedList([failing, found]).urls()).toEqual(["http://c:1"]);
});

it("fails as the first of them, where all do", async () => {
  await expect(joinedList([failing, failing]).urls()).rejects.toThrow("no name server answers");
});
