/**
 * A user's statistics, computed in Postgres: one pass over the user's messages of the window, summed up in four ways at once. No state.
 */
import { and, count, eq, gte, lt, type SQL, sql } from "drizzle-orm";
import type { UserStats } from "../../../contracts/stats.ts";
import type { Db } from "../../../db/open.ts";
import { chatSessions, messages } from "../../../db/schema.ts";
import type { LimitWork } from "./limit-work.ts";

export interface StatsWindow {
  userId: string;
  fromMs: number;
  toMs: number;
}

export async function readStats(db: Db, window: StatsWindow, limitWork: LimitWork): Promise<UserStats> {
  const { userId, fromMs, toMs } = window;
  const sessions = db
    .select({ total: count(), started: countIf(gte(chatSessions.createdAt, new Date(fromMs))) })
    .from(chatSessions)
    .where(eq(chatSessions.userId, userId));
  const [, [counted], sums] = await db.batch([limitWork(), sessions, sumUp(db, window)]);
  const all = sums.find(({ by }) => by === BY.all);
  const messagesOf = (role: string): number =>
    sums.find((sum) => sum.by === BY.role && sum.role === role)?.messages ?? 0;
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    sessions: counted ?? { total: 0, started: 0 },
    messages: { total: all?.messages ?? 0, user: messagesOf("user"), assistant: messagesOf("assistant") },
    tokens: { ...usedTokens(all), without_price: all?.unpriced ?? 0 },
    cost_usd: all?.costUsd ?? 0,
    models: sums
      .filter(({ by, answers }) => by === BY.model && answers > 0)
      .map((sum) => ({ model: sum.model, answers: sum.answers, ...usedTokens(sum), cost_usd: sum.costUsd })),
    saved_by_cache: {
      answers: all?.hits ?? 0,
      prompt_tokens: all?.savedPrompt ?? 0,
      completion_tokens: all?.savedCompletion ?? 0,
      total_tokens: (all?.savedPrompt ?? 0) + (all?.savedCompletion ?? 0),
      cost_usd: all?.savedUsd ?? 0,
    },
    activity: sums
      .filter(({ by }) => by === BY.day)
      .map(({ day, messages: total, total: tokens }) => ({ day: day ?? "", messages: total, tokens })),
  };
}

/** What `grouping(role, model, day)` says of a row: a bit for each that it is not about. */
const BY = { role: 0b011, model: 0b101, day: 0b110, all: 0b111 };

const DAY = sql`(${messages.createdAt} at time zone 'UTC')::date`;
const IS_HIT = sql`${messages.cache} is not distinct from 'hit'`;
const IS_PAID = sql`${messages.cache} is distinct from 'hit'`;

type Sums = Awaited<ReturnType<typeof sumUp>>[number];

function sumUp(db: Db, { userId, fromMs, toMs }: StatsWindow) {
  const { role, modelUsed: model, promptTokens, completionTokens, tokensUsed, costUsd, createdAt } = messages;
  return db
    .select({
      by: sql<number>`grouping(${role}, ${model}, ${DAY})`,
      ...{ role, model, day: sql<string | null>`to_char(${DAY}, 'YYYY-MM-DD')` },
      messages: count(),
      answers: countIf(and(eq(role, "assistant"), IS_PAID)),
      prompt: sumIf(promptTokens, IS_PAID),
      completion: sumIf(completionTokens, IS_PAID),
      total: sumIf(tokensUsed, IS_PAID),
      unpriced: sumIf(tokensUsed, sql`${IS_PAID} and ${costUsd} is null`),
      costUsd: sumIf(costUsd, IS_PAID),
      hits: countIf(IS_HIT),
      savedPrompt: sumIf(promptTokens, IS_HIT),
      savedCompletion: sumIf(completionTokens, IS_HIT),
      savedUsd: sumIf(costUsd, IS_HIT),
    })
    .from(messages)
    .where(and(eq(messages.userId, userId), gte(createdAt, new Date(fromMs)), lt(createdAt, new Date(toMs))))
    .groupBy(sql`grouping sets ((), (${role}), (${model}), (${DAY}))`)
    .orderBy(DAY, model);
}

function usedTokens(sums: Sums | undefined) {
  const { prompt = 0, completion = 0, total = 0 } = sums ?? {};
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total };
}

function countIf(condition: SQL | undefined): SQL<number> {
  return sql<number>`(count(*) filter (where ${condition}))::int4`;
}

function sumIf(value: unknown, condition: SQL): SQL<number> {
  return sql<number>`coalesce(sum(${value}) filter (where ${condition}), 0)::float8`;
}
