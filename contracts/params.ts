/** Ids in paths, whole numbers and words in queries: the schemas that routes are made of. Pure. A query's values arrive as text. */
import * as z from "zod";

export const SessionPath = z.strictObject({ session_id: z.uuidv7() });
export const UserPath = z.strictObject({ user_id: z.uuidv7() });
export const TurnPath = z.strictObject({ turn_id: z.uuidv7() });

/** A whole number from `min` to `max`, written in digits. */
export function count(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,16}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.int().min(min).max(max));
}
