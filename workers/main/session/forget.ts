/**
 * Deletes messages of a session that are older than the deployment keeps them: here, then in Postgres. State: SQLite. What goes is always the
 * session's beginning, up to the first message that stays; a message that followed one of them is a first one from then on. Refuses while
 * a turn runs, and while anything is owed: what has not reached Postgres stays.
 */
import { AppError } from "../../../contracts/errors.ts";
import type { HistoryStore } from "../../../contracts/history.ts";
import type { ForgetMessages } from "../../../contracts/session.ts";
import { dropUnused } from "./attachments.ts";
import type { Drain } from "./drain.ts";
import { unreadable } from "./hold.ts";
import { forgetClaims } from "./idempotency.ts";
import type { TurnKeeper } from "./keeper.ts";
import { deleteBefore, firstSince, readMessage } from "./messages.ts";
import type { Rest } from "./rest.ts";
import { isOwed, markForgotten, readSession, requireOwner } from "./session.ts";
import type { TurnStarter } from "./starter.ts";
import { forgetTurns } from "./turns.ts";

export interface ForgetterDeps {
  storage: DurableObjectStorage;
  history: HistoryStore;
  drain: Drain;
  keeper: TurnKeeper;
  starter: TurnStarter;
  rest: Rest;
  now: () => number;
}

/** Gives how many are gone from Postgres. */
export type Forget = (command: ForgetMessages) => Promise<number>;

export function createForget({ storage, history, drain, keeper, starter, rest, now }: ForgetterDeps): Forget {
  const { sql } = storage;

  /** The place up to which nothing stays here. */
  async function forgetHere({ userId, beforeMs, keepFrom }: ForgetMessages): Promise<number> {
    const owing = readSession(sql);
    if (owing !== undefined && isOwed(sql, owing)) await drain.run();
    // From here on nothing is awaited: no turn begins behind a message that goes.
    const session = requireOwner(readSession(sql), userId);
    if (keeper.live !== undefined || starter.isStarting || isOwed(sql, session))
      throw new AppError("conflict", "the session is in use, or owes messages");
    let from = Math.min(keepFrom, firstSince(sql, beforeMs) ?? keepFrom, session.drainedSeq + 1);
    // Dead letters: Postgres does not know of them.
    while (from <= session.drainedSeq && isOlder(sql, from, beforeMs)) from += 1;
    storage.transactionSync(() => {
      markForgotten(sql, { upTo: from - 1, lastUsedMs: rest.lastUsedMs(session) });
      deleteBefore(sql, from);
      dropUnused(sql);
      forgetTurns(sql, beforeMs);
      forgetClaims(sql, now());
    });
    return from;
  }

  return async (command) => {
    const { sessionId, userId } = command;
    const isHere = readSession(sql)?.id === sessionId;
    const keepFrom = isHere ? await forgetHere(command) : command.keepFrom;
    const forgotten = await history.forgetMessages({ sessionId, userId, keepFrom });
    if (!forgotten.ok) throw unreadable(forgotten.error);
    return forgotten.value;
  };
}

/** A message that is here was said before `ms`. */
function isOlder(sql: SqlStorage, seq: number, ms: number): boolean {
  return (readMessage(sql, seq)?.createdAtMs ?? ms) < ms;
}
