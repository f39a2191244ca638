/**
 * The Durable Object of one chat session: its only writer. Every turn of the session runs here and outlives its viewers.
 * State: SQLite (storage.ts) and the live turn (keeper.ts). It refuses anyone but the session's owner, as if there were no session.
 */
import { DurableObject } from "cloudflare:workers";
import { AppError } from "../../../contracts/errors.ts";
import type {
  AnswerApproval,
  ClaimKey,
  ExplainTurn,
  InspectTurn,
  SessionCommand,
  StartTurn,
  WatchTurn,
} from "../../../contracts/session.ts";
import { createDrain, type Drain } from "./drain.ts";
import { claim, findClaim, forgetClaims } from "./idempotency.ts";
import { type SessionDeps, TurnKeeper } from "./keeper.ts";
import { openSavedLog, readFrames, type Viewable } from "./log.ts";
import { listMessages } from "./pages.ts";
import { cacheHeaders, errorResponse, eventStream, turnHeaders, turnReply, turnState } from "./responses.ts";
import { readSession, requireOwner, type Session } from "./session.ts";
import { createTables, hasTables } from "./storage.ts";
import { TurnStarter } from "./starter.ts";
import { newestTurn, readTurn, type TurnRow } from "./turns.ts";
import { Viewers } from "./viewers.ts";

const CLAIM_KEPT_MS = 24 * 3_600_000;

export class SessionObject<Env = unknown> extends DurableObject<Env> {
  readonly #deps: SessionDeps;
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #drain: Drain;
  readonly #keeper: TurnKeeper;
  readonly #starter: TurnStarter;
  readonly #viewers: Viewers;

  constructor(state: DurableObjectState, env: Env, deps: SessionDeps) {
    super(state, env);
    this.#deps = deps;
    this.#storage = state.storage;
    this.#sql = state.storage.sql;
    this.#drain = createDrain(state.storage, deps);
    this.#keeper = new TurnKeeper(state, deps, this.#drain);
    this.#starter = new TurnStarter(state.storage.sql, this.#keeper, deps);
    this.#viewers = new Viewers(deps);
  }

  override async fetch(request: Request): Promise<Response> {
    const command = await request.json<SessionCommand>();
    try {
      await this.#keeper.wake();
      return await this.#answer(command);
    } catch (error) {
      if (error instanceof AppError) return errorResponse(error.failure, command.requestId);
      const name = error instanceof Error ? error.name : "unknown";
      this.#deps.log({ service: "session", request_id: command.requestId, route: command.kind, error: name });
      throw error;
    }
  }

  /** Looks after a live turn, drains what is owed, ends what was not to be kept. Never throws. */
  override async alarm(): Promise<void> {
    await this.#keeper.wake();
    const session = hasTables(this.#sql) ? readSession(this.#sql) : undefined;
    if (this.#keeper.live !== undefined) {
      await this.#keeper.lookAfter(this.#keeper.live);
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
      case "explain":
        return this.#explain(command);
      case "claim":
        return this.#claim(command);
      case "watch":
        return this.#watch(command);
      case "inspect":
        return this.#inspect(command);
      case "approve":
        return this.#approve(command);
      case "messages":
        return Response.json(listMessages(this.#sql, this.#owned(command), command));
      case "erase":
        return this.#erase(this.#owned(command, true));
    }
  }

  /** The session of this object, for its owner alone. */
  #owned({ userId, sessionId }: { userId: string; sessionId?: string }, toErase = false): Session {
    const session = requireOwner(hasTables(this.#sql) ? readSession(this.#sql) : undefined, userId, toErase);
    if (sessionId !== undefined && session.id !== sessionId)
      throw new AppError("not_found", "there is no such session");
    return session;
  }

  #turn(turnId: string): TurnRow {
    const turn = readTurn(this.#sql, turnId);
    if (turn === undefined) throw new AppError("not_found", "there is no such turn");
    return turn;
  }

  async #start(command: StartTurn): Promise<Response> {
    if (!command.create) this.#owned(command);
    const { turnId, replayed } = await this.#starter.start(command);
    return this.#respond(turnId, command, replayed);
  }

  /** The turn as the request wants to see it: live or ended, as a stream or in one reply. */
  async #respond(
    turnId: string,
    { view, requestId, userId, credential }: StartTurn,
    replayed: boolean,
  ): Promise<Response> {
    const session = this.#owned({ userId });
    const live = this.#keeper.find(turnId);
    const mark = replayed ? { "idempotent-replayed": "true" } : {};
    if (view === "stream") {
      const headers = turnHeaders(turnId, session.id, await live?.verdict);
      const log = live?.log ?? this.#openEnded(this.#turn(turnId));
      return eventStream(this.#viewers.watch(log, 0, credential), { ...headers, ...mark });
    }
    // One that waits for a person is answered with what it asks: nobody could decide without knowing.
    await Promise.race([live?.ended, live?.gate.asking]);
    if (live?.gate.expiresAtMs !== undefined) {
      const waiting = turnState(this.#turn(turnId), session.id, live.log.last);
      return Response.json(waiting, { status: 202, headers: { ...turnHeaders(turnId, session.id), ...mark } });
    }
    const note = live && cacheHeaders(await live.verdict);
    return turnReply(this.#turn(turnId), session.id, requestId, { ...note, ...mark });
  }

  async #explain(command: ExplainTurn): Promise<Response> {
    const explained = await this.#deps.explain(await this.#starter.slotsFor(command));
    if (!explained.ok) return errorResponse(explained.error, command.requestId);
    return Response.json(explained.value);
  }

  #claim({ idempotency }: ClaimKey): Response {
    createTables(this.#sql);
    if (findClaim(this.#sql, idempotency) === undefined) {
      claim(this.#sql, idempotency, null, this.#deps.now());
      if (readSession(this.#sql) === undefined) void this.#storage.setAlarm(this.#deps.now() + CLAIM_KEPT_MS);
    }
    return new Response(null, { status: 204 });
  }

  #watch({ turnId, after, userId, credential }: WatchTurn): Response {
    const session = this.#owned({ userId });
    const turn = this.#turn(turnId);
    const live = this.#keeper.find(turnId);
    const log = live?.log ?? this.#openEnded(turn);
    // Of a turn that was cut for good, events that were shown and not saved have no place in the log any more.
    const from = Math.min(after, turn.cutAfter ?? Number.POSITIVE_INFINITY);
    // Event 1 of a live turn always comes; of one that was taken up again, later ones may have been shown and not saved.
    const promised = turn.resumed > 0 ? Number.POSITIVE_INFINITY : Math.max(log.last, 1);
    if (from > (live ? promised : log.last)) {
      throw new AppError("invalid_request", "the turn has no event of that number yet");
    }
    return eventStream(this.#viewers.watch(log, from, credential), turnHeaders(turnId, session.id));
  }

  async #inspect({ turnId, userId, cancel }: InspectTurn): Promise<Response> {
    const session = this.#owned({ userId });
    this.#turn(turnId);
    const live = this.#keeper.find(turnId);
    if (cancel && live !== undefined) {
      this.#keeper.stop(live, "cancelled");
      await live.ended;
    }
    const last = this.#keeper.find(turnId)?.log.last ?? readFrames(this.#sql, turnId).length;
    return Response.json(turnState(this.#turn(turnId), session.id, last));
  }

  /** Answers what the turn asks; it goes on by itself, for all its viewers. */
  #approve({ turnId, userId, decisions }: AnswerApproval): Response {
    const session = this.#owned({ userId });
    const turn = this.#turn(turnId);
    const live = this.#keeper.find(turnId);
    if (live === undefined) throw new AppError("conflict", "the turn has ended", { details: { state: turn.state } });
    live.gate.answer(decisions);
    void this.#keeper.lookAfter(live);
    return Response.json(turnState(this.#turn(turnId), session.id, live.log.last), { status: 202 });
  }

  async #erase(session: Session): Promise<Response> {
    const { live } = this.#keeper;
    if (live !== undefined) {
      this.#keeper.stop(live, "session_deleted");
      await live.ended;
    }
    const erased = await this.#drain.erase(session);
    return Response.json({ session_id: session.id, erased }, { status: erased ? 200 : 202 });
  }

  #openEnded({ id, endedAtMs, plan }: TurnRow): Viewable {
    if (endedAtMs === undefined || endedAtMs < this.#deps.now() - this.#deps.turnLogMs) {
      const details = { message_id: plan.messageId };
      throw new AppError("turn_expired", "the turn's events are gone; its message is in the history", { details });
    }
    return openSavedLog(this.#sql, id);
  }

  /** A session outside the history ends an hour after its last turn; an object of claims alone, with them. */
  async #expire(): Promise<void> {
    const endedAtMs = hasTables(this.#sql) ? newestTurn(this.#sql)?.endedAtMs : undefined;
    const expiresAtMs = (endedAtMs ?? 0) + this.#deps.turnLogMs;
    if (expiresAtMs > this.#deps.now()) await this.#storage.setAlarm(expiresAtMs);
    else await this.#storage.deleteAll();
  }
}
