/**
 * What is in the contract and not in this version: the answer to each such method, saying what serves instead.
 */
import type { ServiceImpl } from "@connectrpc/connect";
import { DroverError } from "@drover/platform";
import type { RouterService } from "@drover/proto/drover/router/v1/router_pb";

type Router = ServiceImpl<typeof RouterService>;

export const ROUTER_METHODS_TO_COME: Pick<
  Router,
  "showModel" | "loadModel" | "pullModel" | "unloadModel" | "deleteModel"
> = {
  showModel: toCome("ShowModel", "call AgentService.ShowModel at a node's endpoint; ListNodes has the endpoints."),
  loadModel: toCome("LoadModel", "send a call for the model, which loads it where it is answered."),
  pullModel: toCome("PullModel", "run `ollama pull MODEL` on the node."),
  unloadModel: toCome("UnloadModel", "run `ollama stop MODEL` on the node."),
  deleteModel: toCome("DeleteModel", "run `ollama rm MODEL` on the node."),
};

function toCome(method: string, now: string): () => never {
  return () => {
    throw new DroverError("not_implemented", `The router does not serve ${method} in this version. Until then: ${now}`);
  };
}
