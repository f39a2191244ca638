/**
 * The Durable Object of one chat session: its only writer. Every turn of the session runs here and outlives its viewers.
 * State: SQLite (storage.ts) and the one live turn. It refuses anyone but the session's owner, as if there were no session.
 */
import { DurableObject } from "cloudflare:workers";
import { requestMessages } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { HistoryStore } from "../../../contracts/history.ts";
import type { Log } from "../../../contracts/log.ts";
import { newTurnId } from "../../../contracts/ids.ts";
import type { SessionCommand, StartTurn, WatchTurn } from "../../../contracts/session.ts";
import type { ToolServer } from "../../../contracts/tools.ts";
import type { Cache } from "../cache/cache.ts";
import type { TurnRunner } from "../chat/turn.ts";
import { type LiveTurn, startLiveTurn } from "./live-turn.ts";
import { readSavedLog, viewLog, type Viewable } from "./log.ts";
import { drainOutbox } from "./outbox.ts";
import { interruptCutTurns } from "./recover.ts";
import { errorResponse, eventStream, toReply, turnHeaders } from "./responses.ts";
import { createSession, readSession, requireOwner, type Session } from "./session.ts";
import { forgetLogs, newestTurnId, readTurn, type StoredOutcome } from "./turns.ts";

/** A live turn keeps its object awake and is looked after this often. */
const WATCH_MS = 30_000;
/** How long a finished turn's log can be read, and a session outside the history lives. */
const KEPT_MS = 3_600_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 60_000;
const TITLE_CHARS = 80;

export interface SessionDeps {
  turns: TurnRunner;
  tools: ToolServer;
  cache: Pick<Cache, "write">;
  history: HistoryStore;
  log: Log;
  now: () => number;
  newId: () => string;
  /** 0 <= x < 1 */
  random: () => number;
  /** Tokens of earlier messages that a model is shown, at most. */
  contextTokens: number;
  keepAliveMs: number;
}

/** The log line of a turn. */
function turnLine(live: LiveTurn, outcome: StoredOutcome, nowMs: number) {
  const { cache, model, provider, usage, toolsUsed, finishReason, failure } = outcome;
  return {
    ...{
      service: "session",
      request_id: live.requestId,
      route: "turn",
      turn_id: live.id,
      ms: nowMs - live.startedAtMs,
    },
    ...{ cache, model, provider, tokens: usage.total_tokens, tools: toolsUsed },
    ...(failure ? { error: failure.code } : { finish_reason: finishReason }),
  };
}

export class SessionObject<Env = unknown> extends DurableObject<Env> {
  readonly #deps: SessionDeps;
  #live: LiveTurn | undefined;
  #draining: Promise<void> | undefined;
  #failedDrains = 0;

  constructor(state: DurableObjectState, env: Env, deps: SessionDeps) {
    super(state, env);
    this.#deps = deps;
    if (readSession(state.storage.sql) !== undefined) interruptCutTurns(state.storage, deps.now());
  }

  override async fetch(request: Request): Promise<Response> {
    const command = await request.json<SessionCommand>();
    try {
      return command.kind === "start" ? await this.#start(command) : this.#watch(command);
    } catch (error) {
      if (error instanceof AppError) return errorResponse(error.failure, command.requestId);
      throw error;
    }
  }

  /** Keeps a live turn's object awake, drains what is owed, ends a session that was not to be kept. Never throws. */
  override async alarm(): Promise<void> {
    const session = readSession(this.ctx.storage.sql);
    if (session === undefined) return;
    if (this.#live !== undefined) {
      await this.ctx.storage.setAlarm(this.#deps.now() + WATCH_MS);
    } else if (session.stored) {
      await this.#drain();
    } else {
      await this.#expire();
    }
  }

  async #start(command: StartTurn): Promise<Response> {
    const { deps, storage } = { deps: this.#deps, storage: this.ctx.storage };
    const offersTools = command.chat.request.tools !== "none";
    const tools = offersTools ? await deps.tools.list(command) : undefined;
    // From here to the turn's start nothing is awaited: two requests cannot both find the session free.
    if (this.#live !== undefined) {
      const details = { turn_id: this.#live.id };
      throw new AppError("turn_in_progress", "the session is answering another message", { details });
    }
    const session = command.create ? this.#create(command) : requireOwner(readSession(storage.sql), command.userId);
    if (session.id !== command.sessionId) throw new AppError("not_found", "there is no such session");
    forgetLogs(storage.sql, deps.now() - KEPT_MS);
    const live = startLiveTurn(
      { storage, turns: deps.turns, now: deps.now, newId: deps.newId },
      {
        turnId: this.#nextTurnId(session),
        messageId: deps.newId(),
        requestId: command.requestId,
        ...{ session, tools, chat: command.chat, contextTokens: deps.contextTokens },
      },
    );
    this.#live = live;
    void storage.setAlarm(deps.now() + WATCH_MS);
    this.ctx.waitUntil(this.#attend(live, session));
    return command.view === "json" ? this.#reply(live, command) : this.#stream(live, session);
  }

  /** A turn's id is its time: no two turns of a session share a millisecond. */
  #nextTurnId(session: Session): string {
    const candidate = newTurnId(this.#deps.now(), session.id);
    const newest = newestTurnId(this.ctx.storage.sql);
    if (newest === undefined || newest < candidate) return candidate;
    const newestMs = Number.parseInt(newest.slice(0, 8) + newest.slice(9, 13), 16);
    return newTurnId(newestMs + 1, session.id);
  }

  #create({ sessionId, userId, chat }: StartTurn): Session {
    if (readSession(this.ctx.storage.sql) !== undefined) throw new AppError("conflict", "the session is there already");
    return createSession(this.ctx.storage.sql, {
      ...{ id: sessionId, userId, modelType: chat.modelType, modelName: chat.model },
      title: requestMessages(chat.request)[0]?.content.slice(0, TITLE_CHARS) ?? "",
      stored: chat.request.store ?? true,
      createdAtMs: this.#deps.now(),
    });
  }

  /** Sees a turn through: its end, then the cache and Postgres. */
  async #attend(live: LiveTurn, session: Session): Promise<void> {
    try {
      const { outcome, entries } = await live.ended;
      this.#live = undefined;
      this.#deps.log(turnLine(live, outcome, this.#deps.now()));
      await Promise.all([
        entries.length > 0 && this.#deps.cache.write(entries),
        session.stored ? this.#drain() : this.ctx.storage.setAlarm(this.#deps.now() + KEPT_MS),
      ]);
    } catch {
      // The end could not be written. A fresh object finds the turn cut and ends it.
      this.ctx.abort("a turn's end could not be stored");
    }
  }

  async #stream(live: LiveTurn, session: Session): Promise<Response> {
    const headers = turnHeaders(live.id, session.id, await live.verdict);
    return eventStream(viewLog(live.log, 0, this.#deps.keepAliveMs), headers);
  }

  async #reply(live: LiveTurn, { sessionId, requestId }: StartTurn): Promise<Response> {
    const { outcome } = await live.ended;
    const headers = turnHeaders(live.id, sessionId, outcome.cache);
    if (outcome.failure === undefined) {
      return Response.json(toReply(live.id, sessionId, outcome, this.#deps.now()), { headers });
    }
    const ids = { turn_id: live.id, session_id: sessionId, ...(outcome.response && { message_id: outcome.messageId }) };
    return errorResponse({ ...outcome.failure, details: { ...outcome.failure.details, ...ids } }, requestId, headers);
  }

  #watch({ turnId, after, userId }: WatchTurn): Response {
    const { sql } = this.ctx.storage;
    const session = requireOwner(readSession(sql), userId);
    const turn = readTurn(sql, turnId);
    if (turn === undefined) throw new AppError("not_found", "there is no such turn");
    const log = this.#live?.id === turnId ? this.#live.log : this.#savedLog(turnId, turn.endedAtMs, turn.messageId);
    if (after > log.last) throw new AppError("invalid_request", "the turn has no event of that number yet");
    return eventStream(viewLog(log, after, this.#deps.keepAliveMs), turnHeaders(turnId, session.id));
  }

  #savedLog(turnId: string, endedAtMs: number | undefined, messageId: string): Viewable {
    if (endedAtMs === undefined || endedAtMs < this.#deps.now() - KEPT_MS) {
      const details = { message_id: messageId };
      throw new AppError("turn_expired", "the turn's events are gone; its message is in the history", { details });
    }
    return { ...readSavedLog(this.ctx.storage.sql, turnId), closed: true, beyond: () => Promise.resolve() };
  }

  /** One drain at a time. What stays owed is tried again by the alarm, later each time. */
  async #drain(): Promise<void> {
    this.#draining ??= this.#drainOnce().finally(() => {
      this.#draining = undefined;
    });
    await this.#draining;
  }

  async #drainOnce(): Promise<void> {
    const { now, random } = this.#deps;
    const outcome = await drainOutbox({ ...this.#deps, sql: this.ctx.storage.sql }).catch(() => "waiting" as const);
    if (outcome === "drained") {
      this.#failedDrains = 0;
      return;
    }
    const backoffMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failedDrains);
    this.#failedDrains += 1;
    await this.ctx.storage.setAlarm(now() + backoffMs * (0.5 + random() / 2));
  }

  /** A session outside the history ends an hour after its last turn. */
  async #expire(): Promise<void> {
    const { sql } = this.ctx.storage;
    const newest = newestTurnId(sql);
    const endedAtMs = newest === undefined ? undefined : readTurn(sql, newest)?.endedAtMs;
    const expiresAtMs = (endedAtMs ?? 0) + KEPT_MS;
    if (expiresAtMs > this.#deps.now()) await this.ctx.storage.setAlarm(expiresAtMs);
    else await this.ctx.storage.deleteAll();
  }
}
