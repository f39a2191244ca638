/** What a deployment keeps for how long, and what its sessions' objects hold past that, as an admin is shown it page by page. Pure. */
import * as z from "zod";
import { count, Id } from "./params.ts";

const MAX_SECONDS = 315_360_000;

export const RetentionQuery = z.strictObject({
  /** `next_after` of the page before. */
  after: Id.optional(),
  /** In place of the deployment's. */
  turn_log_seconds: count(0, MAX_SECONDS).optional(),
});

export const RetentionPage = z
  .strictObject({
    /** The settings; null: they are kept. */
    keeps: z.strictObject({
      session_days: z.number().nullable(),
      message_days: z.number().nullable(),
      turn_log_seconds: z.int(),
    }),
    /** Sessions of the page: those that could hold any. */
    sessions: z.int().min(0),
    /** Of these, such as could not be asked. */
    failed: z.int().min(0),
    /** Turns whose log has had its time. */
    turn_logs: z.int().min(0),
    /** Turns that have ended so long ago and left checkpoints. */
    checkpoints: z.int().min(0),
    /** `after` of the next page; null on the last one. */
    next_after: z.uuidv7().nullable(),
  })
  .meta({ id: "RetentionPage" });
export type RetentionPage = z.infer<typeof RetentionPage>;
