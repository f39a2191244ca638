/**
 * What a user reads of the history in Postgres: lists of sessions, and the search through messages. Pure. Lists come newest first, a page
 * at a time; a page's `next_cursor` asks for the one after it and is good for that list alone. Unknown names are refused.
 */
import * as z from "zod";
import { MESSAGE_ROLES } from "./history.ts";
import { SessionView } from "./sessions.ts";
import { count, GivenSessionOrTurnId, SessionOrTurnId } from "./params.ts";
import { hasVisibleText } from "./text.ts";

/** Opaque; whoever made it knows whether it is one. */
const Cursor = z.string().min(1).max(200);

export const SessionListQuery = z.strictObject({
  limit: count(1, 100).default(20),
  cursor: Cursor.optional(),
  archived: z.enum(["true", "false", "all"]).default("false"),
});

/** A session in a list: all that Postgres knows of it. */
export const SessionSummary = SessionView.omit({ turn: true }).meta({ id: "SessionSummary" });
export type SessionSummary = z.infer<typeof SessionSummary>;

export const SessionList = z.strictObject({
  sessions: z.array(SessionSummary),
  /** null on the last page. */
  next_cursor: z.string().nullable(),
});
export type SessionList = z.infer<typeof SessionList>;

const LAST_INSTANT_MS = Date.UTC(9999, 11, 31);

/** A day, meant from its first moment in UTC, or a time with its zone; from 1970 to 9999. */
const Instant = z.union([z.iso.date(), z.iso.datetime({ offset: true })]).refine((text) => {
  const atMs = Date.parse(text);
  return atMs >= 0 && atMs <= LAST_INSTANT_MS;
}, "must be from 1970 to 9999");

export const SearchQuery = z
  .strictObject({
    q: z
      .string()
      .max(400)
      .refine((text) => !text.includes("\u0000"), "must not contain NUL")
      .refine(hasVisibleText, "must contain visible text"),
    limit: count(1, 50).default(20),
    cursor: Cursor.optional(),
    session_id: GivenSessionOrTurnId.optional(),
    role: z.enum(["user", "assistant"]).optional(),
    /** From this moment on. */
    from: Instant.optional(),
    /** Before this moment. */
    to: Instant.optional(),
  })
  .refine(({ from, to }) => from === undefined || to === undefined || Date.parse(from) <= Date.parse(to), {
    path: ["to"],
    message: "must not be before `from`",
  });
export type SearchQuery = z.output<typeof SearchQuery>;

export const FoundMessage = z
  .strictObject({
    message_id: z.uuidv7(),
    session_id: SessionOrTurnId,
    session_title: z.string(),
    /** Its place in the session. */
    seq: z.int().min(0),
    role: z.enum(MESSAGE_ROLES),
    created_at: z.iso.datetime(),
    /** Pieces of the message in order; those with `match` are what was looked for. Text, never HTML. */
    snippet: z.array(z.strictObject({ text: z.string(), match: z.boolean() })),
  })
  .meta({ id: "FoundMessage" });
export type FoundMessage = z.infer<typeof FoundMessage>;

export const SearchResults = z.strictObject({
  results: z.array(FoundMessage),
  /** null on the last page. */
  next_cursor: z.string().nullable(),
});
