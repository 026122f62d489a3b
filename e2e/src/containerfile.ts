/** Reads a Containerfile by a parser of the same family as editors use: its stages, and what a builder would refuse. */
import { DockerfileParser } from "dockerfile-ast";
import { validate } from "dockerfile-utils";

export interface Instruction {
  readonly keyword: string;
  /** All behind the keyword, continued lines joined. */
  readonly text: string;
}

export interface Stage {
  readonly name: string;
  readonly image: string;
  readonly instructions: readonly Instruction[];
}

/** One line for each thing that a builder would refuse or warn of. */
export function builderComplaints(content: string): string[] {
  return validate(content).map(({ range, message }) => `line ${range.start.line + 1}: ${message}`);
}

export function readStages(content: string): Stage[] {
  const stages: { name: string; image: string; instructions: Instruction[] }[] = [];
  for (const instruction of DockerfileParser.parse(content).getInstructions()) {
    const keyword = instruction.getKeyword();
    const text = (instruction.getArgumentsContent() ?? "").replace(/\\\n\s*/g, "");
    if (keyword === "FROM") {
      const [image = "", , name = ""] = text.split(/\s+/);
      stages.push({ name, image, instructions: [] });
    } else {
      stages.at(-1)?.instructions.push({ keyword, text });
    }
  }
  return stages;
}

/** The instructions of an image: those of its stage, after those of the stages that it is built from. */
export function imageOf(
  stages: readonly Stage[],
  name: string,
): { readonly image: string; readonly all: Instruction[] } {
  const stage = stages.find((each) => each.name === name);
  if (stage === undefined) throw new Error(`there is no stage ${name}`);
  const isStage = stages.some((each) => each.name === stage.image);
  if (!isStage) return { image: stage.image, all: [...stage.instructions] };
  const below = imageOf(stages, stage.image);
  return { image: below.image, all: [...below.all, ...stage.instructions] };
}

/** The last instruction of that kind, as a builder takes it; in exec form as its words. */
export function lastOf(instructions: readonly Instruction[], keyword: string): string | undefined {
  return instructions.findLast((each) => each.keyword === keyword)?.text;
}

/** The words of an exec form, `["node", "x.js"]`; undefined for the form that a shell runs. */
export function execForm(text: string): readonly string[] | undefined {
  const list = /\[.*\]$/.exec(text)?.[0];
  return list === undefined ? undefined : (JSON.parse(list) as string[]);
}
