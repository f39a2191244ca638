/**
 * The tables of Postgres, for queries and their row types; db/migrations/ creates them, and a test proves that both
 * describe the same schema. Pure. All ids are UUIDs made by us, all times timestamptz in milliseconds.
 */
import { sql } from "drizzle-orm";
import {
  boolean,
  check,
  customType,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unique,
  uniqueIndex,
  uuid,
} from "drizzle-orm/pg-core";
import { MESSAGE_ROLES, MESSAGE_STATUSES } from "../contracts/history.ts";
import type { UsageKind } from "../contracts/ledger.ts";
import { SCOPES } from "../contracts/users.ts";

const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3 });
const time = (name: string) => instant(name).notNull().defaultNow();

export const users = pgTable(
  "users",
  {
    id: uuid("id").primaryKey(),
    username: text("username").notNull(),
    email: text("email").notNull(),
    passwordHash: text("password_hash").notNull(),
    isActive: boolean("is_active").notNull().default(true),
    role: text("role", { enum: ["user", "admin"] })
      .notNull()
      .default("user"),
    /** Raised to end every token issued before. */
    tokenVersion: integer("token_version").notNull().default(0),
    createdAt: time("created_at"),
    updatedAt: time("updated_at"),
  },
  (table) => [
    uniqueIndex("users_username_key").on(sql`lower(${table.username})`),
    uniqueIndex("users_email_key").on(sql`lower(${table.email})`),
    check("users_role_check", sql`${table.role} in ('user', 'admin')`),
  ],
);
export type User = typeof users.$inferSelect;

export const userPreferences = pgTable("user_preferences", {
  userId: uuid("user_id")
    .primaryKey()
    .references(() => users.id, { onDelete: "cascade" }),
  defaultModel: text("default_model"),
  defaultTemperature: doublePrecision("default_temperature"),
  maxTokens: integer("max_tokens"),
  /** Tools that the user has switched off for oneself. */
  disabledTools: text("disabled_tools").array().notNull().default([]),
  createdAt: time("created_at"),
  updatedAt: time("updated_at"),
});
export type UserPreferences = typeof userPreferences.$inferSelect;

export const apiKeys = pgTable(
  "api_keys",
  {
    id: uuid("id").primaryKey(),
    userId: uuid("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    name: text("name").notNull(),
    /** SHA-256 of the key, hexadecimal: the key itself is shown once and kept nowhere. */
    hash: text("hash").notNull(),
    scopes: text("scopes", { enum: SCOPES }).array().notNull(),
    createdAt: time("created_at"),
    expiresAt: instant("expires_at").notNull(),
    lastUsedAt: instant("last_used_at"),
  },
  (table) => [index("api_keys_user").on(table.userId, table.createdAt, table.id)],
);

export const chatSessions = pgTable(
  "chat_sessions",
  {
    id: uuid("id").primaryKey(),
    userId: uuid("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    title: text("title").notNull(),
    modelType: text("model_type"),
    modelName: text("model_name"),
    isActive: boolean("is_active").notNull().default(true),
    createdAt: time("created_at"),
    updatedAt: time("updated_at"),
  },
  (table) => [
    // Drizzle's plain desc() writes NULLS LAST, which `order by created_at desc` cannot use.
    index("chat_sessions_user_newest").on(
      table.userId,
      table.createdAt.desc().nullsFirst(),
      table.id.desc().nullsFirst(),
    ),
  ],
);
export type ChatSession = typeof chatSessions.$inferSelect;

export const messages = pgTable(
  "messages",
  {
    id: uuid("id").primaryKey(),
    sessionId: uuid("session_id")
      .notNull()
      .references(() => chatSessions.id, { onDelete: "cascade" }),
    /** The place in the session. Its unique key also serves reads by (session_id, seq). */
    seq: integer("seq").notNull(),
    /** No foreign key: one message that cannot be stored does not take its successors with it. */
    parentId: uuid("parent_id"),
    role: text("role", { enum: MESSAGE_ROLES }).notNull(),
    content: text("content").notNull(),
    status: text("status", { enum: MESSAGE_STATUSES }).notNull().default("complete"),
    tokensUsed: integer("tokens_used").notNull().default(0),
    modelUsed: text("model_used"),
    provider: text("provider"),
    mcpToolsUsed: text("mcp_tools_used").array().notNull().default([]),
    metaInfo: jsonb("meta_info").$type<Record<string, unknown>>().notNull().default({}),
    turnId: uuid("turn_id"),
    createdAt: time("created_at"),
    /** The session's owner, so that whatever reads messages of all sessions has the owner in its index. */
    userId: uuid("user_id").notNull(),
    /** As the provider counted them; of an answer from the cache: what it had cost, and is saved. */
    promptTokens: integer("prompt_tokens").notNull().default(0),
    completionTokens: integer("completion_tokens").notNull().default(0),
    /** At the model's price when it was answered; null: no price is known. */
    costUsd: doublePrecision("cost_usd"),
    cache: text("cache", { enum: ["hit", "miss", "bypass"] }),
    /** null: it follows the message before it. Else the place of the message that it follows; 0: none. */
    branchFrom: integer("branch_from"),
  },
  (table) => [
    unique("messages_session_seq_key").on(table.sessionId, table.seq),
    index("messages_user_newest").on(table.userId, table.createdAt.desc().nullsFirst(), table.id.desc().nullsFirst()),
    // Holds the messages alone at which a branch begins: the active branch is found without a walk through the session.
    index("messages_branches")
      .on(table.sessionId, table.seq)
      .where(sql`${table.branchFrom} is not null`),
    // Words as they are, in any language. A tsvector holds 1 MB at most, so the longest messages are searched in part.
    index("messages_search").using("gin", sql`to_tsvector('simple', left(${table.content}, 100000))`),
    check("messages_role_check", sql`${table.role} in ('system', 'user', 'assistant', 'tool')`),
    check("messages_status_check", sql`${table.status} in ('complete', 'interrupted', 'cancelled')`),
    check("messages_seq_check", sql`${table.seq} >= 0`),
    check("messages_tokens_used_check", sql`${table.tokensUsed} >= 0`),
    check("messages_cache_check", sql`${table.cache} in ('hit', 'miss', 'bypass')`),
  ],
);
export type Message = typeof messages.$inferSelect;

const bytea = customType<{ data: string }>({ dataType: () => "bytea" });

/** The bytes of what is attached to messages: each file once a session. The messages refer to them by hash. */
export const attachments = pgTable(
  "attachments",
  {
    sessionId: uuid("session_id")
      .notNull()
      .references(() => chatSessions.id, { onDelete: "cascade" }),
    /** Of the bytes, hexadecimal. */
    sha256: text("sha256").notNull(),
    mimeType: text("mime_type").notNull(),
    bytes: bytea("bytes").notNull(),
    createdAt: time("created_at"),
  },
  (table) => [primaryKey({ name: "attachments_pkey", columns: [table.sessionId, table.sha256] })],
);

/** Messages that Postgres can never take, by their place; their session's object still has them. */
export const deadLetters = pgTable(
  "dead_letters",
  {
    /** No foreign key: the session itself may be what cannot be stored. */
    sessionId: uuid("session_id").notNull(),
    seq: integer("seq").notNull(),
    /** An SQLSTATE, or one of our words. */
    code: text("code").notNull(),
    failedAt: time("failed_at"),
  },
  (table) => [primaryKey({ name: "dead_letters_pkey", columns: [table.sessionId, table.seq] })],
);

/** The ledger: what each turn, and each call of a model besides, took and cost. It outlives the session, and goes with the user. */
export const usage = pgTable(
  "usage",
  {
    /** Of a turn its answer's, else the request's. */
    id: uuid("id").primaryKey(),
    userId: uuid("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    kind: text("kind").$type<UsageKind>().notNull(),
    /** No foreign key: a session may be deleted, and what it cost stays. */
    sessionId: uuid("session_id"),
    turnId: uuid("turn_id"),
    model: text("model").notNull(),
    provider: text("provider"),
    promptTokens: integer("prompt_tokens").notNull(),
    completionTokens: integer("completion_tokens").notNull(),
    /** At the model's price then; null: no price is known. */
    costUsd: doublePrecision("cost_usd"),
    /** The provider has not told all of it. */
    isEstimated: boolean("is_estimated").notNull(),
    createdAt: time("created_at"),
  },
  (table) => [index("usage_user_newest").on(table.userId, table.createdAt.desc().nullsFirst())],
);

/** What users have put into the knowledge base: their own, or shared with everyone. */
export const documents = pgTable(
  "documents",
  {
    id: uuid("id").primaryKey(),
    userId: uuid("user_id")
      .notNull()
      .references(() => users.id, { onDelete: "cascade" }),
    isShared: boolean("is_shared").notNull().default(false),
    collection: text("collection").notNull(),
    title: text("title").notNull(),
    createdAt: time("created_at"),
  },
  (table) => [index("documents_user").on(table.userId, table.collection)],
);

/** A document in pieces that a model can be shown. */
export const documentChunks = pgTable(
  "document_chunks",
  {
    documentId: uuid("document_id")
      .notNull()
      .references(() => documents.id, { onDelete: "cascade" }),
    seq: integer("seq").notNull(),
    content: text("content").notNull(),
  },
  (table) => [
    primaryKey({ name: "document_chunks_pkey", columns: [table.documentId, table.seq] }),
    // Words as they are, in any language.
    index("document_chunks_search").using("gin", sql`to_tsvector('simple', ${table.content})`),
  ],
);

/** The migration that this code expects. */
export const SCHEMA_VERSION = 8;
