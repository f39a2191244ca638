/**
 * What a user's chats and calls of models took and saved, over so many days until now. Pure. Days are UTC's. Counted in Postgres, which a message reaches
 * behind its reply.
 */
import * as z from "zod";
import { count, GivenSessionOrTurnId } from "./params.ts";

export const StatsQuery = z.strictObject({
  days: count(1, 365).default(30),
  /** Of this session alone, also where it was deleted and something was used within the days. */
  session_id: GivenSessionOrTurnId.optional(),
});

const Total = z.int().min(0);
const Usd = z.number().min(0);

/** As the providers counted them. */
const tokens = { prompt_tokens: Total, completion_tokens: Total, total_tokens: Total };

const ModelStats = z
  .strictObject({
    /** null: which one is not known. */
    model: z.string().nullable(),
    /** Turns and other calls of the model; answers from the cache do not count. */
    answers: Total,
    ...tokens,
    cost_usd: Usd,
  })
  .meta({ id: "ModelStats" });

export const UserStats = z
  .strictObject({
    /** Everything below is from here, the first moment of a day, to `to`. */
    from: z.iso.datetime(),
    to: z.iso.datetime(),
    sessions: z.strictObject({
      /** All that the user has, archived ones too, however old. */
      total: Total,
      /** Begun within the days. */
      started: Total,
    }),
    messages: z.strictObject({ total: Total, user: Total, assistant: Total }),
    /** What was used; an answer from the cache uses none. */
    tokens: z.strictObject({
      ...tokens,
      /** Of the total: those of models without a known price, which `cost_usd` leaves out. */
      without_price: Total,
    }),
    /** At the price that each model had when it answered. */
    cost_usd: Usd,
    models: z.array(ModelStats),
    /** What answers from the cache would have cost. */
    saved_by_cache: z.strictObject({ answers: Total, ...tokens, cost_usd: Usd }),
    /** Days on which something was said or used, in order. */
    activity: z.array(z.strictObject({ day: z.iso.date(), messages: Total, tokens: Total })),
  })
  .meta({ id: "UserStats" });
export type UserStats = z.infer<typeof UserStats>;
