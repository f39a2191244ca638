/**
 * The Durable Object of one chat session: its only writer. Every turn of the session runs here and outlives its viewers.
 * State: SQLite (storage.ts) and the live turn (keeper.ts). It refuses anyone but the session's owner, as if there were no session.
 */
import { DurableObject } from "cloudflare:workers";
import type { Admitted } from "../../../contracts/accounts.ts";
import { AppError } from "../../../contracts/errors.ts";
import { limitHeaders } from "../../../contracts/limits.ts";
import type {
  AnswerApproval,
  AppendMessage,
  ClaimKey,
  DiscardSession,
  EraseSession,
  ExplainTurn,
  InspectTurn,
  ReadAttachment,
  RecalledTurn,
  RecallTurn,
  SessionCommand,
  StartTurn,
  WatchTurn,
} from "../../../contracts/session.ts";
import { createDrain, type Drain } from "./drain.ts";
import { createEraser, type Eraser } from "./erase.ts";
import { createHold, type Hold, type KeepingCommand } from "./hold.ts";
import { claim, findClaim } from "./idempotency.ts";
import { type SessionDeps, TurnKeeper } from "./keeper.ts";
import type { LiveTurn } from "./live-turn.ts";
import { openSavedLog, readFrames, type Viewable } from "./log.ts";
import { hasLog, recallEnded, requestOf } from "./recall.ts";
import { createPages, type Pages } from "./pages.ts";
import { SessionRecords } from "./records.ts";
import {
  attachmentReply,
  cacheHeaders,
  errorResponse,
  eventStream,
  timingHeader,
  turnHeaders,
  turnReply,
  turnState,
} from "./responses.ts";
import { createRest, type Rest } from "./rest.ts";
import { readSession, requireOwner, type Session } from "./session.ts";
import { createTables, hasTables, upgradeTables } from "./storage.ts";
import { requireSession, type Started, TurnStarter } from "./starter.ts";
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
  readonly #pages: Pages;
  readonly #rest: Rest;
  readonly #hold: Hold;
  readonly #records: SessionRecords;
  readonly #eraser: Eraser;
  /** Commands that are being answered. */
  #answering = 0;
  #isOpen = false;

  constructor(state: DurableObjectState, env: Env, deps: SessionDeps) {
    super(state, env);
    this.#deps = deps;
    this.#storage = state.storage;
    this.#sql = state.storage.sql;
    const { storage } = state;
    this.#drain = createDrain(storage, { ...deps, onOrphaned: async () => void (await this.#eraser.discard()) });
    this.#keeper = new TurnKeeper(state, deps, this.#drain);
    const parts = { ...deps, storage, drain: this.#drain, keeper: this.#keeper };
    const isBusy = (): boolean => this.#answering > 0 || this.#keeper.live !== undefined;
    this.#pages = createPages(this.#sql, deps.history);
    this.#rest = createRest({ ...parts, isBusy, onOrphaned: async () => void (await this.#eraser.discard()) });
    this.#hold = createHold({ ...parts, onHeld: () => this.#rest.plan() });
    this.#records = new SessionRecords({ ...parts, rest: this.#rest });
    this.#eraser = createEraser(parts);
    this.#starter = new TurnStarter(state.storage.sql, this.#keeper, deps);
    this.#viewers = new Viewers(deps);
  }

  override async fetch(request: Request): Promise<Response> {
    const command = await request.json<SessionCommand>();
    this.#answering += 1;
    try {
      this.#open();
      await this.#keeper.wake();
      return await this.#answer(command);
    } catch (error) {
      if (error instanceof AppError) return errorResponse(error.failure, command.requestId);
      const name = error instanceof Error ? error.name : "unknown";
      this.#deps.log({ service: "session", request_id: command.requestId, route: command.kind, error: name });
      throw error;
    } finally {
      this.#answering -= 1;
    }
  }

  /** Looks after a live turn, drains what is owed, ends what was not to be kept, rests what is not used. Never throws. */
  override async alarm(): Promise<void> {
    this.#open();
    await this.#keeper.wake();
    const session = readSession(this.#sql);
    if (this.#keeper.live !== undefined) {
      await this.#keeper.lookAfter(this.#keeper.live);
    } else if (session?.erased) {
      await this.#drain.erase(session);
    } else if (session?.stored) {
      await this.#drain.run();
      await this.#rest.try();
    } else {
      await this.#expire();
    }
  }

  #open(): void {
    if (!this.#isOpen) upgradeTables(this.#sql);
    this.#isOpen = true;
  }

  async #answer(command: SessionCommand): Promise<Response> {
    switch (command.kind) {
      case "start":
        return this.#starter.guard(command, (admitted) => this.#start(command, admitted));
      case "follow":
        return eventStream(await this.#keeper.boarding.follow(command), {});
      case "explain":
        return this.#explain(command);
      case "claim":
        return this.#claim(command);
      case "watch":
        return this.#watch(command);
      case "recall":
        return Response.json(await this.#recall(command));
      case "inspect":
        return this.#inspect(command);
      case "approve":
        return this.#approve(command);
      case "messages":
        return Response.json(await this.#pages.list(command, this.#ownedIfHeld(command) !== undefined));
      case "attachment":
        return this.#attachment(command);
      case "create":
        return this.#records.create(command);
      case "view":
        return this.#records.view(command, this.#ownedIfHeld(command));
      case "change":
        return this.#records.change(command, await this.#held(command));
      case "append":
        return this.#append(command);
      case "erase":
        return this.#hold.alone(() => this.#erase(command));
      case "discard":
        return this.#hold.alone(() => this.#discard(command));
    }
  }

  /** The session of this object, for its owner alone. */
  #owned({ userId, sessionId }: { userId: string; sessionId?: string }): Session {
    const session = requireOwner(readSession(this.#sql), userId);
    if (sessionId !== undefined && session.id !== sessionId)
      throw new AppError("not_found", "there is no such session");
    return session;
  }

  /** The same; undefined when it may be in Postgres. */
  #ownedIfHeld({ userId, sessionId }: { userId: string; sessionId: string }): Session | undefined {
    const session = readSession(this.#sql);
    return session?.id === sessionId ? requireOwner(session, userId) : undefined;
  }

  /** The same, fetched from Postgres where it rests. */
  async #held(command: KeepingCommand): Promise<Session> {
    if (readSession(this.#sql) === undefined) await this.#hold.fetch(command);
    return this.#owned(command);
  }

  /** The session of a turn that goes on; one that goes on after another turn names that one alone. */
  async #hereFor(command: StartTurn): Promise<void> {
    const { branch } = command;
    if (branch.kind !== "after") return void (await this.#held(command));
    if (readSession(this.#sql) === undefined) await this.#hold.fetchByTurn(command, branch.turnId);
    requireSession(this.#sql, command);
  }

  #turn(turnId: string): TurnRow {
    const turn = readTurn(this.#sql, turnId);
    if (turn === undefined) throw new AppError("not_found", "there is no such turn");
    return turn;
  }

  async #start(asked: StartTurn, admitted: Promise<Admitted>): Promise<Response> {
    const receivedAtMs = this.#deps.now();
    const command = asked.makeIfMissing && !(await this.#hold.find(asked)) ? { ...asked, create: true } : asked;
    if (!command.create) await this.#hereFor(command);
    return this.#respond(await this.#starter.start(command, admitted), command, receivedAtMs);
  }

  /** The turn as the request wants to see it: live or ended, as a stream or in one reply. */
  async #respond(
    { turnId, replayed, limits }: Started,
    { view, requestId, userId, credential }: StartTurn,
    receivedAtMs: number,
  ): Promise<Response> {
    const session = this.#owned({ userId });
    const live = this.#keeper.find(turnId);
    const mark = { ...limitHeaders(limits), ...(replayed && { "idempotent-replayed": "true" }) };
    // An earlier turn that is shown again has no stages of this request.
    const timing = async () => live && !replayed && timingHeader(live.stages, receivedAtMs, await live.verdict);
    if (view === "stream") {
      const headers = turnHeaders(turnId, session.id, await live?.verdict);
      const log = live?.log ?? this.#openEnded(this.#turn(turnId));
      return eventStream(this.#viewers.watch(log, 0, credential), { ...headers, ...mark, ...(await timing()) });
    }
    // One that waits for a person is answered with what it asks: nobody could decide without knowing.
    await Promise.race([live?.ended, live?.gate.asking]);
    if (live?.gate.expiresAtMs !== undefined) {
      const waiting = turnState(this.#turn(turnId), session.id, live.log.last);
      return Response.json(waiting, { status: 202, headers: { ...turnHeaders(turnId, session.id), ...mark } });
    }
    const note = live && cacheHeaders(await live.verdict);
    return turnReply(this.#turn(turnId), session.id, requestId, { ...note, ...mark, ...(await timing()) });
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

  async #recall(command: RecallTurn): Promise<RecalledTurn> {
    const { turnId, userId, cancel } = command;
    const live = this.#keeper.find(turnId);
    if (live === undefined) return recallEnded(command, { ...this.#deps, sql: this.#sql });
    const { id: sessionId } = this.#owned({ userId });
    if (cancel) await this.#stop(live);
    return { sessionId, ...requestOf(this.#turn(turnId)), areWhole: true, events: live.log.after(0) };
  }

  async #stop(live: LiveTurn): Promise<void> {
    this.#keeper.stop(live, "cancelled");
    await live.ended;
  }

  async #inspect({ turnId, userId, cancel }: InspectTurn): Promise<Response> {
    const session = this.#owned({ userId });
    this.#turn(turnId);
    const live = this.#keeper.find(turnId);
    if (cancel && live !== undefined) await this.#stop(live);
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
    void this.#keeper.goOn(live);
    return Response.json(turnState(this.#turn(turnId), session.id, live.log.last), { status: 202 });
  }

  async #append(command: AppendMessage): Promise<Response> {
    await this.#held(command);
    // A turn that is about to be written has its place already.
    await this.#starter.settled();
    return this.#records.append(command, this.#owned(command));
  }

  async #attachment(command: ReadAttachment): Promise<Response> {
    const held = this.#ownedIfHeld(command) !== undefined;
    const file = await this.#deps.attachments.read(command, command.sha256, held);
    if (file !== undefined) return attachmentReply(file);
    // Of one that is not here, no more is told than of one that is somebody else's.
    throw new AppError("not_found", held ? "the session has no such attachment" : "there is no such session");
  }

  async #erase(command: EraseSession): Promise<Response> {
    const session = readSession(this.#sql);
    if (session?.id !== command.sessionId) return this.#eraser.eraseUnheld(command);
    const owned = requireOwner(session, command.userId, true);
    if (this.#rest.lastUsedMs(owned) >= (command.unusedSinceMs ?? Number.POSITIVE_INFINITY))
      throw new AppError("conflict", "the session has been used since");
    return this.#eraser.erase(owned);
  }

  async #discard({ sessionId, userId }: DiscardSession): Promise<Response> {
    const session = requireOwner(readSession(this.#sql), userId, true);
    if (session.id !== sessionId) throw new AppError("not_found", "there is no such session");
    return Response.json(await this.#eraser.discard());
  }

  #openEnded(turn: TurnRow): Viewable {
    if (hasLog(turn, this.#deps)) return openSavedLog(this.#sql, turn.id);
    const details = { message_id: turn.plan.messageId };
    throw new AppError("turn_expired", "the turn's events are gone; its message is in the history", { details });
  }

  /** A session outside the history ends an hour after its last turn; an object of claims alone, with them. */
  async #expire(): Promise<void> {
    const endedAtMs = hasTables(this.#sql) ? newestTurn(this.#sql)?.endedAtMs : undefined;
    const expiresAtMs = (endedAtMs ?? 0) + this.#deps.turnLogMs;
    if (expiresAtMs > this.#deps.now()) await this.#storage.setAlarm(expiresAtMs);
    else await this.#storage.deleteAll();
  }
}
