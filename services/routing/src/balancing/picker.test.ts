import { describe } from "vitest";
import { describePolicy } from "./picker.cases.ts";
import { createPolicy, POLICY_NAMES } from "./policies.ts";

describe.each(POLICY_NAMES)("policy %s", (name) => describePolicy(() => createPolicy(name)));
