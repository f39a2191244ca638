/**
 * W3C Trace Context, as far as it is passed on: who calls may say to which trace its request belongs. Pure: randomness is an argument.
 * Refuses a `traceparent` that is not of the form; the request then begins a trace of its own.
 */
import { type RandomBytes, toHex } from "./ids.ts";

/** A version that is not known yet may have more parts; ff is none. */
const FORM = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const SAMPLED = "01";

/** The caller's trace with a span of ours, or a new one. */
export function continueTrace(given: string | undefined, random: RandomBytes): string {
  const [, , trace = "", , flags = SAMPLED] = FORM.exec(given ?? "") ?? [];
  const span = toHex(random(8));
  return isTraceparent(given ?? "") ? `00-${trace}-${span}-${flags}` : `00-${toHex(random(16))}-${span}-${SAMPLED}`;
}

export function isTraceparent(text: string): boolean {
  const [, version, trace = "0", parent = "0", , more] = FORM.exec(text) ?? [];
  return !isZero(trace) && !isZero(parent) && !(version === "00" && more !== undefined);
}

export function traceIdOf(traceparent: string | undefined): string | undefined {
  return traceparent?.slice(3, 35);
}

function isZero(hex: string): boolean {
  return /^0+$/.test(hex);
}
