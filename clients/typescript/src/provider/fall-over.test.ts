import { ENDINGS, reasonOf } from "@drover/platform";
import { expect, it } from "vitest";
import { NEVER_RAN } from "./fall-over.ts";

it("tries elsewhere what routers place again free of charge", () => {
  const kinds = Object.keys(ENDINGS) as (keyof typeof ENDINGS)[];
  const free = kinds.filter((kind) => ENDINGS[kind].elsewhere === "free").map(reasonOf);
  expect([...NEVER_RAN].sort()).toEqual(free.sort());
});
