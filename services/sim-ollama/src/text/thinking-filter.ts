/** Tells the passage in `<think>` tags from the answer. Each tag comes as one piece, as the writer makes them. */

export interface ThinkingFilter {
  push(text: string): { readonly thinking: string; readonly content: string };
}

export function createThinkingFilter(isThinking: boolean): ThinkingFilter {
  let state: "before" | "inside" | "after" = isThinking ? "before" : "after";
  return {
    push: (text) => {
      if (state === "before") {
        state = text === "<think>" ? "inside" : "after";
        if (state === "inside") return { thinking: "", content: "" };
      }
      if (state === "after") return { thinking: "", content: text };
      if (text === "</think>") {
        state = "after";
        return { thinking: "", content: "" };
      }
      return { thinking: text === "\n" ? "" : text, content: "" };
    },
  };
}
