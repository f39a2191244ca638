/**
 * Turns as requests want to see them: live or ended, as a stream, in one reply, as a state; and what a request may do to one that is live. State:
 * who watches. Refuses anyone but the session's owner, as if there were no turn.
 */
import { AppError } from "../../../contracts/errors.ts";
import { limitHeaders } from "../../../contracts/limits.ts";
import type {
  AnswerApproval,
  InspectTurn,
  RecalledTurn,
  RecallTurn,
  StartTurn,
  WatchTurn,
} from "../../../contracts/session.ts";
import type { SessionDeps, TurnKeeper } from "./keeper.ts";
import type { LiveTurn } from "./live-turn.ts";
import { openSavedLog, readFrames, type Viewable } from "./log.ts";
import { hasLog, recallEnded, requestOf } from "./recall.ts";
import { cacheHeaders, eventStream, timingHeader, turnHeaders, turnReply, turnState } from "./responses.ts";
import { readSession, requireOwner, type Session } from "./session.ts";
import type { Started } from "./starter.ts";
import { readTurn, type TurnRow } from "./turns.ts";
import { Viewers } from "./viewers.ts";

export class TurnDesk {
  readonly #sql: SqlStorage;
  readonly #keeper: TurnKeeper;
  readonly #deps: SessionDeps;
  readonly #viewers: Viewers;

  constructor(sql: SqlStorage, keeper: TurnKeeper, deps: SessionDeps) {
    this.#sql = sql;
    this.#keeper = keeper;
    this.#deps = deps;
    this.#viewers = new Viewers(deps);
  }

  /** The turn as the request wants to see it: live or ended, as a stream or in one reply. */
  async respond(
    { turnId, replayed, limits }: Started,
    { view, requestId, userId, credential }: StartTurn,
    receivedAtMs: number,
  ): Promise<Response> {
    const session = this.#owned(userId);
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

  watch({ turnId, after, userId, credential }: WatchTurn): Response {
    const session = this.#owned(userId);
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

  async recall(command: RecallTurn): Promise<RecalledTurn> {
    const { turnId, userId, cancel } = command;
    const live = this.#keeper.find(turnId);
    if (live === undefined) return recallEnded(command, { ...this.#deps, sql: this.#sql });
    const { id: sessionId } = this.#owned(userId);
    if (cancel) await this.#stop(live);
    return { sessionId, ...requestOf(this.#turn(turnId)), areWhole: true, events: live.log.after(0) };
  }

  async #stop(live: LiveTurn): Promise<void> {
    this.#keeper.stop(live, "cancelled");
    await live.ended;
  }

  async inspect({ turnId, userId, cancel }: InspectTurn): Promise<Response> {
    const session = this.#owned(userId);
    this.#turn(turnId);
    const live = this.#keeper.find(turnId);
    if (cancel && live !== undefined) await this.#stop(live);
    const last = this.#keeper.find(turnId)?.log.last ?? readFrames(this.#sql, turnId).length;
    return Response.json(turnState(this.#turn(turnId), session.id, last));
  }

  /** Answers what the turn asks; it goes on by itself, for all its viewers. */
  approve({ turnId, userId, decisions }: AnswerApproval): Response {
    const session = this.#owned(userId);
    const turn = this.#turn(turnId);
    const live = this.#keeper.find(turnId);
    if (live === undefined) throw new AppError("conflict", "the turn has ended", { details: { state: turn.state } });
    live.gate.answer(decisions);
    void this.#keeper.goOn(live);
    return Response.json(turnState(this.#turn(turnId), session.id, live.log.last), { status: 202 });
  }

  #turn(turnId: string): TurnRow {
    const turn = readTurn(this.#sql, turnId);
    if (turn === undefined) throw new AppError("not_found", "there is no such turn");
    return turn;
  }

  #openEnded(turn: TurnRow): Viewable {
    if (hasLog(turn, { ...this.#deps, sql: this.#sql })) return openSavedLog(this.#sql, turn.id);
    const details = { message_id: turn.plan.messageId };
    throw new AppError("turn_expired", "the turn's events are gone; its message is in the history", { details });
  }

  #owned(userId: string): Session {
    return requireOwner(readSession(this.#sql), userId);
  }
}
