/** Settings whose text is JSON: parsed, then checked by a schema. Pure. What is no JSON is as malformed as what does not fit. */
import * as z from "zod";

export function jsonSetting<T extends z.ZodType>(schema: T) {
  return z.string().transform(parseJson).pipe(schema);
}

function parseJson(text: string, issues: z.RefinementCtx): unknown {
  try {
    return JSON.parse(text);
  } catch {
    issues.addIssue({ code: "custom", message: "must be JSON" });
    return z.NEVER;
  }
}
