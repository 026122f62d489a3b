/**
 * A call that ended before dispatch took it (too large, no message, no room): what is known of it, for whoever tells or counts it.
 */
import { DroverError, type Logger, type MetadataSource, toConnectError } from "@drover/platform";

export interface RefusedCall {
  readonly id: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly metadata: MetadataSource;
  readonly error: unknown;
  /** Since its headers came. */
  readonly tookMs: number;
}

/** Returns the error as the caller shall see it. */
export type TellRefused = (refused: RefusedCall) => DroverError;

/** The error as callers see it; one that nobody expected is a bug of ours, and goes to the log. */
export function refusalError({ id, error }: Pick<RefusedCall, "id" | "error">, log: Logger): DroverError {
  if (error instanceof DroverError) return error;
  return new DroverError("internal", toConnectError(error, { callId: id, log }).rawMessage, { cause: error });
}
