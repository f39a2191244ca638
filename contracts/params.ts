/** Ids in paths, whole numbers and words in queries: the schemas that routes are made of. Pure. A query's values arrive as text. */
import * as z from "zod";

/** An id that a client sends: in whatever letter case, it is one id. Objects are found by the lower case. */
export const Id = z.uuidv7().toLowerCase();

/** Of a session or a turn, as we show it: version 8 stands for an object in the EU (ids.ts). */
export const SessionOrTurnId = z
  .string()
  .regex(
    /^[\da-f]{8}-[\da-f]{4}-[78][\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/i,
    "must be the id of a session or a turn",
  )
  .meta({ format: "uuid" });
/** The same as a client sends it. */
export const GivenSessionOrTurnId = SessionOrTurnId.toLowerCase();

export const SessionPath = z.strictObject({ session_id: GivenSessionOrTurnId });
export const UserPath = z.strictObject({ user_id: Id });
export const TurnPath = z.strictObject({ turn_id: GivenSessionOrTurnId });

/** A whole number from `min` to `max`, written in digits. */
export function count(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,16}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.int().min(min).max(max));
}
