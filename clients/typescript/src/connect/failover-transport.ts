/**
 * One transport over all routers of a client: connect's interface on one side, one failover call for each call on the other.
 */
import type { StreamResponse, Transport } from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import { invalidArgument } from "../errors/drover-error.ts";
import { CallBounds } from "./call-bounds.ts";
import { FailoverCall, type FailoverParts } from "./failover-call.ts";

export function createFailoverTransport(parts: FailoverParts): Transport {
  return {
    // biome-ignore lint/complexity/useMaxParams: the parameters are those of connect's Transport.
    unary: (method, signal, timeoutMs, header, input, context) => {
      const call = new FailoverCall(parts, new CallBounds(parts.clock, signal, timeoutMs), header);
      return call.run(({ transport }, sent) =>
        transport.unary(method, signal, sent.timeoutMs, sent.header, input, context),
      );
    },
    // biome-ignore lint/complexity/useMaxParams: the parameters are those of connect's Transport.
    stream: async (method, signal, timeoutMs, header, input, context) => {
      if (method.methodKind !== "server_streaming")
        throw invalidArgument(`${method.name} is a stream of requests, which this client does not send.`);
      const call = new FailoverCall(parts, new CallBounds(parts.clock, signal, timeoutMs), header);
      const message = await firstOf(input);
      return call.run(async (router, sent) => {
        const request = createAsyncIterable([message]);
        const { transport } = router;
        const response = await transport.stream(method, signal, sent.timeoutMs, sent.header, request, context);
        return begun(response, (error) => call.explain(router, error));
      });
    },
  };
}

async function firstOf<Message>(input: AsyncIterable<Message>): Promise<Message> {
  for await (const message of input) return message;
  throw invalidArgument("The call has no request message.");
}

/**
 * The response once its first message is there. connect's servers send an error before any message as headers and then trailers,
 * so only the first message, or the end, tells that the call was taken. Of later errors `explain` makes what the caller gets.
 */
async function begun<Response extends StreamResponse>(
  response: Response,
  explain: (error: unknown) => unknown,
): Promise<Response> {
  const rest = response.message[Symbol.asyncIterator]();
  let first: Promise<IteratorResult<unknown>> | undefined = Promise.resolve(await rest.next());
  const next = async (): Promise<IteratorResult<unknown>> => {
    if (first !== undefined) {
      const result = first;
      first = undefined;
      return result;
    }
    try {
      return await rest.next();
    } catch (error) {
      throw explain(error);
    }
  };
  return { ...response, message: { [Symbol.asyncIterator]: () => ({ next }) } } as Response;
}
