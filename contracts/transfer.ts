/**
 * The history as a file: what an export holds and an import takes, and the report of an import. Pure. Strict: a line with a field that
 * is not named here is refused.
 */
import * as z from "zod";
import { MessageView } from "./sessions.ts";

export const EXPORT_VERSION = 1;
export const ExportQuery = z.strictObject({ format: z.enum(["jsonl", "markdown"]).default("jsonl") });

/** In UTF-16 code units. */
export const MAX_CONTENT_CHARS = 1_000_000;
const MAX_NAME_CHARS = 1_000;

const name = z.string().max(MAX_NAME_CHARS);
const time = z.iso.datetime().refine((text) => Date.parse(text) >= 0, "must be from 1970 on");

/** The first line of a session; its messages follow, one a line. */
export const SessionLine = z.strictObject({
  type: z.literal("session"),
  version: z.literal(EXPORT_VERSION),
  id: z.uuid(),
  title: name,
  model_type: name.nullable(),
  model_name: name.nullable(),
  is_active: z.boolean(),
  created_at: time,
  updated_at: time,
});
export type SessionLine = z.infer<typeof SessionLine>;

/** An export names what is attached, and does not hold it: an import leaves it out. */
export const MessageLine = z.strictObject({
  type: z.literal("message"),
  ...MessageView.shape,
  content: z.string().max(MAX_CONTENT_CHARS),
  created_at: time,
});
export type MessageLine = z.infer<typeof MessageLine>;

export const Line = z.discriminatedUnion("type", [SessionLine, MessageLine]);
export type Line = z.infer<typeof Line>;

/** Why an import is not the whole file, or not to the letter. */
export const IMPORT_WARNINGS = [
  /** Conversations that could not be read, or hold nothing to import. */
  "sessions_left_out",
  /** Messages of a tool or the system, or without text. */
  "messages_left_out",
  /** Images, files and other parts that are no text. */
  "parts_left_out",
  /** Texts that were cut to the longest that is stored. */
  "texts_cut",
  /** Texts with characters that cannot be stored, which became U+FFFD. */
  "texts_changed",
  /** Sessions that the database refused. */
  "sessions_refused",
] as const;
export type ImportWarning = (typeof IMPORT_WARNINGS)[number];

export const ImportReport = z
  .strictObject({
    sessions_imported: z.int().min(0),
    messages_imported: z.int().min(0),
    /** Those that were there already. */
    sessions_skipped: z.int().min(0),
    warnings: z.array(z.strictObject({ code: z.enum(IMPORT_WARNINGS), count: z.int().min(1) })),
  })
  .meta({ id: "ImportReport" });
export type ImportReport = z.infer<typeof ImportReport>;
