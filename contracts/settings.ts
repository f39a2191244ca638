/** Settings whose text is JSON, or a list: parsed, then checked by a schema. Pure. What is no JSON is as malformed as what does not fit. */
import * as z from "zod";

export function jsonSetting<T extends z.ZodType>(schema: T) {
  return z.string().transform(parseJson).pipe(schema);
}

/** Separated by commas; white space around and empty entries do not count. */
export function listSetting(entry: z.ZodType<string, string>, most: number) {
  const split = (list: string): string[] => list.split(",").map((one) => one.trim());
  return z
    .string()
    .transform((list) => split(list).filter((one) => one !== ""))
    .pipe(z.array(entry).max(most));
}

function parseJson(text: string, issues: z.RefinementCtx): unknown {
  try {
    return JSON.parse(text);
  } catch {
    issues.addIssue({ code: "custom", message: "must be JSON" });
    return z.NEVER;
  }
}
