import { expect, it } from "vitest";
import { ByteBudget } from "./byte-budget.ts";
import { InvariantError } from "./drover-error.ts";

it("gives out no more than it has, and takes it back", () => {
  const budget = new ByteBudget(10);
  expect([budget.tryTake(6), budget.tryTake(5), budget.tryTake(4), budget.tryTake(1)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  budget.give(6);
  expect([budget.held, budget.tryTake(6)]).toEqual([4, true]);
});

it("notices when more comes back than was taken", () => {
  expect(() => new ByteBudget(10).give(1)).toThrow(InvariantError);
});
