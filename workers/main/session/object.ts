/**
 * The Durable Object of one chat session: its only writer. Every turn of the session runs here and outlives its viewers.
 * State: SQLite (storage.ts) and the one live turn. It refuses anyone but the session's owner, as if there were no session.
 */
import { DurableObject } from "cloudflare:workers";
import { requestMessages } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { HistoryStore } from "../../../contracts/history.ts";
import { newTurnId } from "../../../contracts/ids.ts";
import type { Log } from "../../../contracts/log.ts";
import type { ClaimKey, InspectTurn, SessionCommand, StartTurn, WatchTurn } from "../../../contracts/session.ts";
import type { ToolList, ToolServer } from "../../../contracts/tools.ts";
import type { Cache } from "../cache/cache.ts";
import type { StopReason, TurnRunner } from "../chat/turn.ts";
import { branchOf } from "./branches.ts";
import { createDrain, type Drain } from "./drain.ts";
import { claim, findClaim, forgetClaims } from "./idempotency.ts";
import { type LiveTurn, resumeTurn, startTurn } from "./live-turn.ts";
import { openSavedLog, readFrames, TurnLog, type Viewable, viewLog } from "./log.ts";
import { listMessages } from "./pages.ts";
import { interrupt, resumable } from "./recover.ts";
import { errorResponse, eventStream, turnHeaders, turnLine, turnReply, turnState } from "./responses.ts";
import { createSession, readSession, requireOwner, type Session } from "./session.ts";
import { createTables, hasTables } from "./storage.ts";
import { countResume, forgetLogs, newestTurn, readTurn, requestCancel, runningTurn, type TurnRow } from "./turns.ts";

/** A live turn keeps its object awake and is looked after this often. */
const WATCH_MS = 30_000;
/** How long a finished turn's log can be read, and a session outside the history lives. */
const KEPT_MS = 3_600_000;
const CLAIM_KEPT_MS = 24 * 3_600_000;
const TITLE_CHARS = 80;
/** Messages that may wait for a busy session. */
const MAX_WAITING = 8;

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

export class SessionObject<Env = unknown> extends DurableObject<Env> {
  readonly #deps: SessionDeps;
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #drain: Drain;
  #live: LiveTurn | undefined;
  #waiting = 0;
  #awake = false;

  constructor(state: DurableObjectState, env: Env, deps: SessionDeps) {
    super(state, env);
    this.#deps = deps;
    this.#storage = state.storage;
    this.#sql = state.storage.sql;
    this.#drain = createDrain(state.storage, deps);
  }

  override async fetch(request: Request): Promise<Response> {
    const command = await request.json<SessionCommand>();
    try {
      await this.#wake();
      return await this.#answer(command);
    } catch (error) {
      if (error instanceof AppError) return errorResponse(error.failure, command.requestId);
      throw error;
    }
  }

  /** Keeps a live turn's object awake, drains what is owed, ends what was not to be kept. Never throws. */
  override async alarm(): Promise<void> {
    await this.#wake();
    const session = hasTables(this.#sql) ? readSession(this.#sql) : undefined;
    if (this.#live !== undefined) {
      await this.#storage.setAlarm(this.#deps.now() + WATCH_MS);
    } else if (session?.erased) {
      await this.#drain.erase(session);
    } else if (session?.stored) {
      forgetClaims(this.#sql, this.#deps.now());
      await this.#drain.run();
    } else {
      await this.#expire();
    }
  }

  #answer(command: SessionCommand): Promise<Response> | Response {
    switch (command.kind) {
      case "start":
        return this.#start(command);
      case "claim":
        return this.#claim(command);
      case "watch":
        return this.#watch(command);
      case "inspect":
        return this.#inspect(command);
      case "messages":
        return Response.json(listMessages(this.#sql, this.#owned(command), command));
      case "erase":
        return this.#erase(this.#owned(command));
    }
  }

  /** The session of this object, for its owner alone. */
  #owned({ userId, sessionId }: { userId: string; sessionId?: string }): Session {
    const session = requireOwner(hasTables(this.#sql) ? readSession(this.#sql) : undefined, userId);
    if (sessionId !== undefined && session.id !== sessionId)
      throw new AppError("not_found", "there is no such session");
    return session;
  }

  async #start(command: StartTurn): Promise<Response> {
    const tools = await this.#toolsFor(command);
    for (let live = this.#toWaitFor(command); live !== undefined; live = this.#toWaitFor(command)) {
      this.#waiting += 1;
      await live.ended.finally(() => {
        this.#waiting -= 1;
      });
    }
    // From here to the turn's start nothing is awaited: two requests cannot both find the session free.
    const earlier = this.#findEarlier(command);
    if (earlier !== undefined) return this.#respond(earlier, command, true);
    if (this.#live !== undefined) throw busy(this.#live.id);
    const session = command.create ? this.#create(command) : this.#owned(command);
    const turnId = this.#nextTurnId(session);
    const { said, leafSeq } = branchOf(this.#sql, command.branch, requestMessages(command.chat.request));
    const { chat, requestId, idempotency } = command;
    this.#attend(
      startTurn(this.#host(session, tools), {
        id: turnId,
        plan: { messageId: this.#deps.newId(), requestId, chat, firstTurn: leafSeq === null && said.length === 1 },
        ...{ leafSeq, said },
        alsoWrite: () => {
          forgetLogs(this.#sql, this.#deps.now() - KEPT_MS);
          if (idempotency) claim(this.#sql, idempotency, turnId, this.#deps.now());
        },
      }),
      session,
    );
    return this.#respond(turnId, command, false);
  }

  #toolsFor({ chat, ...context }: Pick<StartTurn, "chat" | "userId" | "requestId">): Promise<ToolList | undefined> {
    return chat.request.tools === "none" ? Promise.resolve(undefined) : this.#deps.tools.list(context);
  }

  /** The turn whose end this request waits for, as it asks to; undefined when it may go on, or is to be refused. */
  #toWaitFor(command: StartTurn): LiveTurn | undefined {
    const { on_busy: whenBusy = "reject" } = command.chat.request;
    const live = this.#live;
    if (live === undefined || whenBusy === "reject" || this.#findEarlier(command) !== undefined) return undefined;
    this.#owned(command);
    if (this.#waiting >= MAX_WAITING) throw busy(live.id);
    if (whenBusy === "interrupt") this.#stop(live, "cancelled");
    return live;
  }

  /** The turn that this very request, or an earlier one with its idempotency key, has started. */
  #findEarlier({ idempotency, requestId, userId }: StartTurn): string | undefined {
    if (!hasTables(this.#sql)) return undefined;
    const claimed = idempotency && findClaim(this.#sql, idempotency);
    if (claimed?.turnId) return claimed.turnId;
    const newest = newestTurn(this.#sql);
    return newest?.plan.requestId === requestId && readSession(this.#sql)?.userId === userId ? newest.id : undefined;
  }

  /** A turn's id is its time: no two turns of a session share a millisecond. */
  #nextTurnId(session: Session): string {
    const candidate = newTurnId(this.#deps.now(), session.id);
    const newest = newestTurn(this.#sql)?.id;
    if (newest === undefined || newest < candidate) return candidate;
    const newestMs = Number.parseInt(newest.slice(0, 8) + newest.slice(9, 13), 16);
    return newTurnId(newestMs + 1, session.id);
  }

  #create({ sessionId, userId, chat }: StartTurn): Session {
    createTables(this.#sql);
    if (readSession(this.#sql) !== undefined) {
      throw new AppError("conflict", "this Idempotency-Key made a session before: use a new key");
    }
    return createSession(this.#sql, {
      ...{ id: sessionId, userId, modelType: chat.modelType, modelName: chat.model },
      title: requestMessages(chat.request)[0]?.content.slice(0, TITLE_CHARS) ?? "",
      stored: chat.request.store ?? true,
      createdAtMs: this.#deps.now(),
    });
  }

  #host(session: Session, tools: ToolList | undefined) {
    const { turns, now, newId, contextTokens } = this.#deps;
    return { storage: this.#storage, session, tools, turns, now, newId, contextTokens };
  }

  /** Sees a turn through, whoever watches: its end, then the cache and Postgres. */
  #attend(live: LiveTurn, session: Session): void {
    this.#live = live;
    void this.#storage.setAlarm(this.#deps.now() + WATCH_MS);
    const seeThrough = async (): Promise<void> => {
      const { outcome, entries } = await live.ended;
      this.#live = undefined;
      this.#deps.log(turnLine(live, outcome, this.#deps.now()));
      await Promise.all([
        entries.length > 0 && this.#deps.cache.write(entries),
        session.stored ? this.#drain.run() : this.#storage.setAlarm(this.#deps.now() + KEPT_MS),
      ]);
    };
    // An end that could not be written: a fresh object finds the turn cut and ends it.
    this.ctx.waitUntil(seeThrough().catch(() => this.ctx.abort("a turn's end could not be stored")));
  }

  /** The turn as the request wants to see it: live or ended, as a stream or in one reply. */
  async #respond(turnId: string, { view, requestId, userId }: StartTurn, replayed: boolean): Promise<Response> {
    const session = this.#owned({ userId });
    const live = this.#live?.id === turnId ? this.#live : undefined;
    const mark = replayed ? { "idempotent-replayed": "true" } : {};
    if (view === "stream") {
      const headers = turnHeaders(turnId, session.id, await live?.verdict);
      const log = live?.log ?? this.#openEnded(this.#turn(turnId));
      return eventStream(viewLog(log, 0, this.#deps.keepAliveMs), { ...headers, ...mark });
    }
    await live?.ended;
    return turnReply(this.#turn(turnId), session.id, requestId, mark);
  }

  #claim({ idempotency }: ClaimKey): Response {
    createTables(this.#sql);
    if (findClaim(this.#sql, idempotency) === undefined) {
      claim(this.#sql, idempotency, null, this.#deps.now());
      if (readSession(this.#sql) === undefined) void this.#storage.setAlarm(this.#deps.now() + CLAIM_KEPT_MS);
    }
    return new Response(null, { status: 204 });
  }

  #watch({ turnId, after, userId }: WatchTurn): Response {
    const session = this.#owned({ userId });
    const turn = this.#turn(turnId);
    const log = this.#live?.id === turnId ? this.#live.log : this.#openEnded(turn);
    // Of a turn that was cut, events that were shown and not saved have no place in the log any more.
    const from = turn.cutAfter === undefined ? after : Math.min(after, turn.cutAfter);
    if (from > log.last) throw new AppError("invalid_request", "the turn has no event of that number yet");
    return eventStream(viewLog(log, from, this.#deps.keepAliveMs), turnHeaders(turnId, session.id));
  }

  async #inspect({ turnId, userId, cancel }: InspectTurn): Promise<Response> {
    const session = this.#owned({ userId });
    this.#turn(turnId);
    if (cancel && this.#live?.id === turnId) {
      this.#stop(this.#live, "cancelled");
      await this.#live.ended;
    }
    const last = this.#live?.id === turnId ? this.#live.log.last : readFrames(this.#sql, turnId).length;
    return Response.json(turnState(this.#turn(turnId), session.id, last));
  }

  #stop(live: LiveTurn, reason: StopReason): void {
    if (reason === "cancelled") requestCancel(this.#sql, live.id);
    live.abort.abort(reason);
  }

  async #erase(session: Session): Promise<Response> {
    if (this.#live !== undefined) {
      this.#stop(this.#live, "session_deleted");
      await this.#live.ended;
    }
    const erased = await this.#drain.erase(session);
    return Response.json({ session_id: session.id, erased }, { status: erased ? 200 : 202 });
  }

  #turn(turnId: string): TurnRow {
    const turn = readTurn(this.#sql, turnId);
    if (turn === undefined) throw new AppError("not_found", "there is no such turn");
    return turn;
  }

  #openEnded({ id, endedAtMs, plan }: TurnRow): Viewable {
    if (endedAtMs === undefined || endedAtMs < this.#deps.now() - KEPT_MS) {
      const details = { message_id: plan.messageId };
      throw new AppError("turn_expired", "the turn's events are gone; its message is in the history", { details });
    }
    return openSavedLog(this.#sql, id);
  }

  /** Once in this object's life: a turn that still says "running" was cut. It is taken up again or ended. */
  async #wake(): Promise<void> {
    if (this.#awake) return;
    const turn = hasTables(this.#sql) ? runningTurn(this.#sql) : undefined;
    const session = turn && readSession(this.#sql);
    const tools = turn && session && (await this.#toolsFor({ ...turn.plan, userId: session.userId }));
    // Another request may have done it meanwhile.
    if (this.#awake) return;
    this.#awake = true;
    if (turn === undefined || session === undefined) return;
    const frames = readFrames(this.#sql, turn.id);
    const resumed = resumable(turn, frames);
    if (resumed === undefined) {
      interrupt(this.#storage, turn, this.#deps.now());
      void this.#storage.setAlarm(this.#deps.now());
      return;
    }
    countResume(this.#sql, turn.id);
    const log = new TurnLog(this.#sql, turn.id, this.#deps.now, frames);
    this.#attend(resumeTurn(this.#host(session, tools), turn, log, resumed), session);
  }

  /** A session outside the history ends an hour after its last turn; one of claims alone, with them. */
  async #expire(): Promise<void> {
    const endedAtMs = hasTables(this.#sql) ? newestTurn(this.#sql)?.endedAtMs : undefined;
    const expiresAtMs = (endedAtMs ?? 0) + KEPT_MS;
    if (expiresAtMs > this.#deps.now()) await this.#storage.setAlarm(expiresAtMs);
    else await this.#storage.deleteAll();
  }
}

function busy(turnId: string): AppError {
  const details = { turn_id: turnId };
  return new AppError("turn_in_progress", "the session is answering another message", { details });
}
