/**
 * Fetches a session that rests, or that was imported, from Postgres into its object: its row and its newest messages, under their own
 * numbers, so that everything goes on as if it had never left. State: the fetch under way, since two must not meet. Refuses a session
 * that Postgres does not have for this user, and keeps nothing then; while Postgres is away it says so.
 */
import * as z from "zod";
import { CacheVerdict, BilledUsage } from "../../../contracts/chat.ts";
import { AppError, type Failure, orThrow } from "../../../contracts/errors.ts";
import type { HistoryStore, MessageRow, SessionWindow } from "../../../contracts/history.ts";
import { AskedResponse } from "../../../contracts/openai-responses.ts";
import { Attachment } from "../../../contracts/parts.ts";
import type { StartTurn } from "../../../contracts/session.ts";
import type { Accounts } from "../accounts/client.ts";
import { insertMessage, type Message, type MessageDetails } from "./messages.ts";
import { heldSession, insertSession, readSession } from "./session.ts";
import { createTables } from "./storage.ts";

/** What an object holds of an old session at most: far more than a model is shown. */
const MAX_MESSAGES = 1_000;
const MAX_BYTES = 4_000_000;
const RETRY_AFTER_SECONDS = 2;

export type KeepingCommand = Pick<StartTurn, "sessionId" | "userId" | "credential">;

export interface Hold {
  /** When it is done the object holds a session, this one or the one it had. */
  fetch(command: KeepingCommand): Promise<void>;
  /** The same of the session that a turn belongs to: its id is not known where it rests. */
  fetchByTurn(command: KeepingCommand, turnId: string): Promise<void>;
  /** The same; false when there is none, here and in Postgres. */
  find(command: KeepingCommand): Promise<boolean>;
  /** Runs `work` while nothing is fetched. */
  alone<T>(work: () => Promise<T>): Promise<T>;
}

export interface HoldDeps {
  storage: DurableObjectStorage;
  history: HistoryStore;
  accounts: Pick<Accounts, "check">;
  now: () => number;
  /** Called when a session has been fetched. */
  onHeld(): Promise<void>;
}

export function createHold({ storage, history, accounts, now, onHeld }: HoldDeps): Hold {
  const { sql } = storage;
  let last: Promise<unknown> = Promise.resolve();

  function alone<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  }

  async function fetchNow({ sessionId, userId, credential }: KeepingCommand): Promise<void> {
    if (readSession(sql) !== undefined) return;
    const read = await history.readWindow({ sessionId, userId, messages: MAX_MESSAGES, bytes: MAX_BYTES });
    if (!read.ok) throw unreadable(read.error);
    if (read.value === undefined) throw new AppError("not_found", "there is no such session");
    // Asked last, and anew: of a user who is being erased nothing is brought back behind the erasure.
    orThrow(await accounts.check(credential, { fresh: true }));
    // One that was made here meanwhile stays.
    if (readSession(sql) === undefined) write(storage, read.value, now());
    await onHeld();
  }

  async function find(command: KeepingCommand): Promise<boolean> {
    try {
      await alone(() => fetchNow(command));
      return true;
    } catch (error) {
      if (error instanceof AppError && error.failure.code === "not_found") return false;
      throw error;
    }
  }

  async function fetchByTurn(command: KeepingCommand, turnId: string): Promise<void> {
    const { userId } = command;
    const found = await history.findTurn({ turnId, userId });
    if (!found.ok) throw unreadable(found.error);
    if (found.value === undefined) throw new AppError("not_found", "there is no such session");
    const { sessionId } = found.value;
    await alone(() => fetchNow({ ...command, sessionId }));
  }

  return { alone, find, fetchByTurn, fetch: (command) => alone(() => fetchNow(command)) };
}

/** Without a database there is no session but those that objects hold. */
export function unreadable(failure: Failure): AppError {
  if (failure.code === "not_configured") return new AppError("not_found", "there is no such session");
  return new AppError(failure.code, failure.message, { retryAfterSeconds: RETRY_AFTER_SECONDS, ...failure });
}

function write(storage: DurableObjectStorage, { session, messages }: SessionWindow, nowMs: number): void {
  const { sql } = storage;
  storage.transactionSync(() => {
    createTables(sql);
    insertSession(sql, heldSession(session, nowMs));
    for (const message of toMessages(messages)) insertMessage(sql, message);
  });
}

/** A parent that Postgres never took, or that no model is shown, is replaced by the message before it. */
function* toMessages(rows: SessionWindow["messages"]): Generator<Message> {
  const floor = rows[0]?.seq ?? 0;
  let seqBefore = floor - 1;
  for (const row of rows) {
    const { seq, id, parentId, turnId, content, status, tokensUsed: tokens, createdAtMs } = row;
    const parentSeq = parentId === null ? null : (row.parentSeq ?? seqBefore);
    const details = toDetails(row);
    // Its parent stays in Postgres: only its id can be told here.
    if (parentId !== null && row.parentSeq !== null && row.parentSeq < floor) details.parent_id = parentId;
    const role = row.role === "user" ? "user" : "assistant"; // the store gives no others
    yield { seq, id, parentSeq, turnId, role, content, status, tokens, details, createdAtMs };
    seqBefore = seq;
  }
}

const Round = z.object({
  content: z.string(),
  calls: z.array(z.object({ id: z.string(), name: z.string(), arguments: z.record(z.string(), z.unknown()) })),
  results: z.array(z.object({ ok: z.boolean(), content: z.string() })),
});

/** What the outbox wrote; an import may have left something else there, which is then not used. */
const Meta = z.object({
  usage: BilledUsage.optional(),
  cache: CacheVerdict.optional(),
  finish_reason: z.string().optional(),
  before: z.array(z.union([z.object({ round: Round }), z.object({ system: z.string() })])).optional(),
  asked: AskedResponse.optional(),
  rounds: z.array(Round).optional(),
  attachments: z.array(Attachment).min(1).optional(),
});

export function toDetails({ metaInfo, modelUsed, provider }: MessageRow): MessageDetails {
  const meta = Meta.safeParse(metaInfo).data ?? {};
  return {
    ...meta,
    ...(modelUsed !== null && { model: modelUsed }),
    ...(provider !== null && { provider }),
  } as MessageDetails; // JSON has no undefined members
}
