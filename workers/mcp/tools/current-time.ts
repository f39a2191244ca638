/**
 * The date and time in a time zone, as ISO 8601 with its offset and the day of the week.
 * Pure: the time is an argument. Refuses names that are no time zone of the runtime.
 */
import * as z from "zod";
import type { Tool } from "./tool.ts";

const Input = z.strictObject({
  timezone: z.string().min(1).max(64).optional().describe('IANA name such as "Europe/Berlin". Left out: UTC.'),
});

export const currentTime: Tool<typeof Input> = {
  name: "current_time",
  description: "Returns the current date, time and weekday, in UTC or in the given time zone.",
  input: Input,
  annotations: { readOnly: true, idempotent: false, private: false, cost: "free" },
  run({ timezone = "UTC" }, context) {
    const text = formatTime(context.now(), timezone);
    return text === undefined
      ? { ok: false, content: "There is no time zone of that name." }
      : { ok: true, content: text };
  },
};

function formatTime(nowMs: number, timeZone: string): string | undefined {
  const part = partsOf(nowMs, timeZone);
  if (part === undefined) return undefined;
  const offset = part("timeZoneName").replace("GMT", "") || "+00:00";
  const date = `${part("year")}-${part("month")}-${part("day")}`;
  return `${date}T${part("hour")}:${part("minute")}:${part("second")}${offset} (${part("weekday")}, ${timeZone})`;
}

/** Looks up a formatted part by its type; undefined for an unknown time zone. */
function partsOf(nowMs: number, timeZone: string): ((type: Intl.DateTimeFormatPartTypes) => string) | undefined {
  try {
    const parts = new Intl.DateTimeFormat("en-US", {
      timeZone,
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      weekday: "long",
      timeZoneName: "longOffset",
    }).formatToParts(nowMs);
    return (type) => parts.find((candidate) => candidate.type === type)?.value ?? "";
  } catch {
    return undefined;
  }
}
