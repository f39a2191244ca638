/**
 * A user's statistics, computed in Postgres: one pass over the user's messages of the window and one over the ledger's rows, each summed up in
 * several ways at once. No state. What was used is the ledger's to say: it knows calls without a message, and those of deleted sessions.
 */
import { and, count, eq, gte, lt, type SQL, sql } from "drizzle-orm";
import type { AnyPgColumn } from "drizzle-orm/pg-core";
import type { UserStats } from "../../../contracts/stats.ts";
import type { Db } from "../../../db/open.ts";
import { chatSessions, messages, usage } from "../../../db/schema.ts";
import type { LimitWork } from "./limit-work.ts";

export interface StatsWindow {
  userId: string;
  fromMs: number;
  toMs: number;
  sessionId?: string | undefined;
}

export async function readStats(db: Db, window: StatsWindow, limitWork: LimitWork): Promise<UserStats> {
  const { userId, fromMs, toMs, sessionId } = window;
  const sessions = db
    .select({ total: count(), started: countIf(gte(chatSessions.createdAt, new Date(fromMs))) })
    .from(chatSessions)
    .where(and(eq(chatSessions.userId, userId), isSession(chatSessions.id, sessionId)));
  const [, [counted], said, spent] = await db.batch([
    limitWork(),
    sessions,
    sumMessages(db, window),
    sumUsage(db, window),
  ]);
  const all = said.find(({ by }) => by === SAID_BY.all);
  const messagesOf = (role: string): number =>
    said.find((sum) => sum.by === SAID_BY.role && sum.role === role)?.messages ?? 0;
  const used = spent.find(({ by }) => by === SPENT_BY.all);
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    sessions: counted ?? { total: 0, started: 0 },
    messages: { total: all?.messages ?? 0, user: messagesOf("user"), assistant: messagesOf("assistant") },
    tokens: { ...tokensOf(used), without_price: used?.unpriced ?? 0 },
    cost_usd: used?.costUsd ?? 0,
    models: spent
      .filter(({ by }) => by === SPENT_BY.model)
      .map((sum) => ({ model: sum.model, answers: sum.answers, ...tokensOf(sum), cost_usd: sum.costUsd })),
    saved_by_cache: {
      answers: all?.hits ?? 0,
      prompt_tokens: all?.savedPrompt ?? 0,
      completion_tokens: all?.savedCompletion ?? 0,
      total_tokens: (all?.savedPrompt ?? 0) + (all?.savedCompletion ?? 0),
      cost_usd: all?.savedUsd ?? 0,
    },
    activity: activityOf(said, spent),
  };
}

/** Days on which something was said or used. */
function activityOf(said: Said[], spent: Spent[]): UserStats["activity"] {
  const days = new Map<string, UserStats["activity"][number]>();
  const dayOf = (day: string | null) => {
    const known = days.get(day ?? "") ?? { day: day ?? "", messages: 0, tokens: 0 };
    days.set(known.day, known);
    return known;
  };
  for (const sum of said) if (sum.by === SAID_BY.day) dayOf(sum.day).messages = sum.messages;
  for (const sum of spent) if (sum.by === SPENT_BY.day) dayOf(sum.day).tokens = tokensOf(sum).total_tokens;
  return [...days.values()].toSorted((one, other) => (one.day < other.day ? -1 : 1));
}

/** What `grouping(role, day)` and `grouping(model, day)` say of a row: a bit for each that it is not about. */
const SAID_BY = { role: 0b01, day: 0b10, all: 0b11 };
const SPENT_BY = { model: 0b01, day: 0b10, all: 0b11 };

const SAID_DAY = sql`(${messages.createdAt} at time zone 'UTC')::date`;
const SPENT_DAY = sql`(${usage.createdAt} at time zone 'UTC')::date`;
const IS_HIT = sql`${messages.cache} is not distinct from 'hit'`;

type Said = Awaited<ReturnType<typeof sumMessages>>[number];
type Spent = Awaited<ReturnType<typeof sumUsage>>[number];

function sumMessages(db: Db, window: StatsWindow) {
  const { role, promptTokens, completionTokens, costUsd } = messages;
  return db
    .select({
      by: sql<number>`grouping(${role}, ${SAID_DAY})`,
      ...{ role, day: sql<string | null>`to_char(${SAID_DAY}, 'YYYY-MM-DD')` },
      messages: count(),
      hits: countIf(IS_HIT),
      savedPrompt: sumIf(promptTokens, IS_HIT),
      savedCompletion: sumIf(completionTokens, IS_HIT),
      savedUsd: sumIf(costUsd, IS_HIT),
    })
    .from(messages)
    .where(isWithin(messages, window))
    .groupBy(sql`grouping sets ((), (${role}), (${SAID_DAY}))`);
}

function sumUsage(db: Db, window: StatsWindow) {
  const { model, promptTokens, completionTokens, costUsd } = usage;
  const all = sql`true`;
  return db
    .select({
      by: sql<number>`grouping(${model}, ${SPENT_DAY})`,
      ...{ model, day: sql<string | null>`to_char(${SPENT_DAY}, 'YYYY-MM-DD')` },
      answers: count(),
      prompt: sumIf(promptTokens, all),
      completion: sumIf(completionTokens, all),
      unpriced: sumIf(sql`${promptTokens} + ${completionTokens}`, sql`${costUsd} is null`),
      costUsd: sumIf(costUsd, all),
    })
    .from(usage)
    .where(isWithin(usage, window))
    .groupBy(sql`grouping sets ((), (${model}), (${SPENT_DAY}))`)
    .orderBy(model);
}

function tokensOf(sums: Spent | undefined) {
  const { prompt = 0, completion = 0 } = sums ?? {};
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion };
}

function isSession(column: AnyPgColumn, sessionId: string | undefined): SQL | undefined {
  return sessionId === undefined ? undefined : eq(column, sessionId);
}

function isWithin(
  rows: Record<"userId" | "sessionId" | "createdAt", AnyPgColumn>,
  window: StatsWindow,
): SQL | undefined {
  const { userId, sessionId, fromMs, toMs } = window;
  return and(
    eq(rows.userId, userId),
    isSession(rows.sessionId, sessionId),
    gte(rows.createdAt, new Date(fromMs)),
    lt(rows.createdAt, new Date(toMs)),
  );
}

function countIf(condition: SQL | undefined): SQL<number> {
  return sql<number>`(count(*) filter (where ${condition}))::int4`;
}

function sumIf(value: unknown, condition: SQL): SQL<number> {
  return sql<number>`coalesce(sum(${value}) filter (where ${condition}), 0)::float8`;
}
