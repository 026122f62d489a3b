/** Says of a failed request that it was never sent, or that the other side told so (RFC 9113, 8.7). */

export class NotSentError extends Error {
  override readonly name = "NotSentError";
}
