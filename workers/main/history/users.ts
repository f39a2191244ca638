/**
 * Users, their preferences and API keys in Postgres. State lives there; one call is one HTTP round trip. Refuses a name or an address that
 * is taken, in any letter case. A password's and a key's hash go in and out, nothing else that is secret.
 */
import { and, asc, desc, eq, gt, sql } from "drizzle-orm";
import type {
  AccountRecord,
  ErasedCounts,
  KeyRow,
  UserChange,
  UserRow,
  UserStore,
} from "../../../contracts/accounts.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import { NO_PREFERENCES, type Preferences } from "../../../contracts/users.ts";
import { type Db, readDbFault } from "../../../db/open.ts";
import {
  apiKeys,
  chatSessions,
  deadLetters,
  documents,
  messages,
  usage,
  userPreferences,
  users,
} from "../../../db/schema.ts";
import { createAttempt, type OnFault, toFailure } from "./faults.ts";

const UNIQUE_VIOLATION = "23505";

export function createUserStore(db: Db, onFault: OnFault = () => undefined): UserStore {
  const attempt = createAttempt(onFault);

  /** A taken name or address is the asker's matter; which of the two is taken is not told. */
  const unlessTaken = async <T>(work: () => Promise<T>): Promise<Result<T>> => {
    try {
      return ok(await work());
    } catch (error) {
      if (readDbFault(error).reason !== UNIQUE_VIOLATION) return toFailure(error, onFault);
      return fail("conflict", "the username or the email address is taken");
    }
  };

  return {
    create: (user) =>
      unlessTaken(async () => {
        const [row] = await db.insert(users).values(user).returning();
        if (row === undefined) throw new Error("an insert returns its row");
        return toUser(row);
      }),
    read: (userId) =>
      attempt(async () => {
        const [row] = await db.select().from(users).where(eq(users.id, userId));
        return row && toUser(row);
      }),
    findForLogin: (name) =>
      attempt(async () => {
        const isNamed =
          "username" in name
            ? sql`lower(${users.username}) = lower(${name.username})`
            : sql`lower(${users.email}) = lower(${name.email})`;
        const { id, passwordHash, isActive, tokenVersion } = users;
        const [row] = await db.select({ id, passwordHash, isActive, tokenVersion }).from(users).where(isNamed);
        return row;
      }),
    readPasswordHash: (userId) =>
      attempt(async () => {
        const [row] = await db.select({ hash: users.passwordHash }).from(users).where(eq(users.id, userId));
        return row?.hash;
      }),
    update: (userId, change) =>
      unlessTaken(async () => {
        const [row] = await db.update(users).set(toColumns(change)).where(eq(users.id, userId)).returning();
        return row && toUser(row);
      }),
    loadAccount: (userId) => attempt(() => loadAccount(db, userId)),
    putPreferences: (userId, preferences) =>
      attempt(async () => {
        const values = toPreferenceColumns(preferences);
        await db
          .insert(userPreferences)
          .values({ userId, ...values })
          .onConflictDoUpdate({ target: userPreferences.userId, set: { ...values, updatedAt: sql`now()` } });
      }),
    ...keyQueries(db, attempt),
    sessionIds: (userId, after, limit) => attempt(() => readSessionIds(db, { userId, after, limit })),
    erase: (userId) => attempt(() => eraseUser(db, userId)),
  };
}

function keyQueries(db: Db, attempt: ReturnType<typeof createAttempt>) {
  const own = (userId: string, keyId: string) => and(eq(apiKeys.id, keyId), eq(apiKeys.userId, userId));
  return {
    addKey: (userId, { id, name, hash, scopes, createdAtMs, expiresAtMs }) =>
      attempt(async () => {
        const times = { createdAt: new Date(createdAtMs), expiresAt: new Date(expiresAtMs) };
        await db
          .insert(apiKeys)
          .values({ id, userId, name, hash, scopes, ...times })
          .onConflictDoNothing();
      }),
    listKeys: (userId) =>
      attempt(async () => {
        const rows = await db
          .select()
          .from(apiKeys)
          .where(eq(apiKeys.userId, userId))
          .orderBy(desc(apiKeys.createdAt), desc(apiKeys.id));
        return rows.map(toKey);
      }),
    removeKey: (userId, keyId) =>
      attempt(async () => {
        await db.delete(apiKeys).where(own(userId, keyId));
      }),
    touchKey: (userId, keyId, usedAtMs) =>
      attempt(async () => {
        await db
          .update(apiKeys)
          .set({ lastUsedAt: new Date(usedAtMs) })
          .where(own(userId, keyId));
      }),
  } satisfies Partial<UserStore>;
}

async function loadAccount(db: Db, userId: string): Promise<AccountRecord | undefined> {
  const [[user], [preferences], keys] = await db.batch([
    db.select().from(users).where(eq(users.id, userId)),
    db.select().from(userPreferences).where(eq(userPreferences.userId, userId)),
    db.select().from(apiKeys).where(eq(apiKeys.userId, userId)),
  ]);
  if (user === undefined) return undefined;
  return {
    role: user.role,
    isActive: user.isActive,
    tokenVersion: user.tokenVersion,
    preferences: preferences === undefined ? NO_PREFERENCES : toPreferences(preferences),
    keys: keys.map(({ id, hash, scopes, expiresAt }) => ({ id, hash, scopes, expiresAtMs: expiresAt.getTime() })),
  };
}

interface SessionsAfter {
  userId: string;
  after: string | undefined;
  limit: number;
}

async function readSessionIds(db: Db, { userId, after, limit }: SessionsAfter): Promise<string[]> {
  const { id } = chatSessions;
  const rows = await db
    .select({ id })
    .from(chatSessions)
    .where(and(eq(chatSessions.userId, userId), after === undefined ? undefined : gt(id, after)))
    .orderBy(asc(id))
    .limit(limit);
  return rows.map((row) => row.id);
}

/** Whatever refers to the user goes by the tables' own rules; it is counted in the same transaction. */
async function eraseUser(db: Db, userId: string): Promise<{ counts: ErasedCounts["postgres"]; sessionIds: string[] }> {
  const own = db.select({ id: chatSessions.id }).from(chatSessions).where(eq(chatSessions.userId, userId));
  const [, gone, spent, sessions, keys, preferences, papers, rows] = await db.batch([
    db.delete(deadLetters).where(sql`${deadLetters.sessionId} in ${own}`),
    db
      .select({ count: sql<number>`count(*)::int4` })
      .from(messages)
      .where(eq(messages.userId, userId)),
    db.delete(usage).where(eq(usage.userId, userId)),
    db.delete(chatSessions).where(eq(chatSessions.userId, userId)).returning({ id: chatSessions.id }),
    db.delete(apiKeys).where(eq(apiKeys.userId, userId)).returning({ id: apiKeys.id }),
    db.delete(userPreferences).where(eq(userPreferences.userId, userId)).returning({ id: userPreferences.userId }),
    db.delete(documents).where(eq(documents.userId, userId)).returning({ id: documents.id }),
    db.delete(users).where(eq(users.id, userId)).returning({ id: users.id }),
  ]);
  const counts = {
    ...{ users: rows.length, sessions: sessions.length, messages: gone[0]?.count ?? 0 },
    ...{ api_keys: keys.length, preferences: preferences.length, documents: papers.length },
    usage_records: spent.rowCount,
  };
  return { counts, sessionIds: sessions.map(({ id }) => id) };
}

function toColumns({ username, email, passwordHash, role, isActive }: UserChange) {
  const endsTokens = [passwordHash, role, isActive].some((part) => part !== undefined);
  return {
    ...{ username, email, passwordHash, role, isActive },
    ...(endsTokens && { tokenVersion: sql`${users.tokenVersion} + 1` }),
    updatedAt: sql`now()`,
  };
}

function toUser(row: typeof users.$inferSelect): UserRow {
  const { id, username, email, role, isActive, createdAt, updatedAt } = row;
  return { id, username, email, role, isActive, createdAtMs: createdAt.getTime(), updatedAtMs: updatedAt.getTime() };
}

function toKey(row: typeof apiKeys.$inferSelect): KeyRow {
  const { id, name, scopes, createdAt, expiresAt, lastUsedAt } = row;
  return {
    ...{ id, name, scopes, createdAtMs: createdAt.getTime(), expiresAtMs: expiresAt.getTime() },
    lastUsedAtMs: lastUsedAt?.getTime() ?? null,
  };
}

function toPreferences(row: typeof userPreferences.$inferSelect): Preferences {
  return {
    default_model: row.defaultModel,
    default_temperature: row.defaultTemperature,
    max_tokens: row.maxTokens,
    disabled_tools: row.disabledTools,
  };
}

function toPreferenceColumns({ default_model, default_temperature, max_tokens, disabled_tools }: Preferences) {
  return {
    ...{ defaultModel: default_model, defaultTemperature: default_temperature, maxTokens: max_tokens },
    disabledTools: disabled_tools,
  };
}
