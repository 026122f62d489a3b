/**
 * Times of a Clock as google.protobuf.Duration. A Clock's milliseconds have fractions, and protobuf-es would turn them into
 * a fraction of a nanosecond, which cannot be encoded: the whole message would fail.
 */
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";

/** Rounded to whole microseconds. */
export function protoDuration(ms: number): Duration {
  const micros = Math.round(ms * 1_000);
  const whole = durationFromMs(Math.trunc(micros / 1_000));
  return { ...whole, nanos: whole.nanos + (micros % 1_000) * 1_000 };
}
