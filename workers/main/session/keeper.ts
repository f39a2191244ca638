/**
 * Keeps the one live turn of a session: starts it, looks after it, stops it, and sees it through to the cache and Postgres whoever
 * watches. State: that turn. A turn that an earlier life of the object left unended is taken up again or ended, once.
 */
import type { ChatRequest } from "../../../contracts/chat.ts";
import type { HistoryStore } from "../../../contracts/history.ts";
import type { SaidMessage } from "../../../contracts/parts.ts";
import type { ModelPrices } from "../../../contracts/prices.ts";
import type { Log, OnBehalfOf } from "../../../contracts/log.ts";
import type { Meter } from "../../../contracts/metrics.ts";
import type { AnswerOptions, ResolvedChat } from "../../../contracts/session.ts";
import { NO_USAGE } from "../../../contracts/rounds.ts";
import { nextTask } from "../../../contracts/tasks.ts";
import type { ToolList, ToolServer } from "../../../contracts/tools.ts";
import type { Preferences } from "../../../contracts/users.ts";
import type { Accounts } from "../accounts/client.ts";
import type { CacheAdmin } from "../cache/admin.ts";
import type { TurnSlots } from "../chat/reuse.ts";
import type { Cache } from "../cache/cache.ts";
import type { StopReason, TurnRunner } from "../chat/turn.ts";
import type { SeenTurn } from "../metrics/measure.ts";
import { deleteCheckpoints, hasTables as hasCheckpoints } from "./checkpoints.ts";
import type { Attachments } from "./attachments.ts";
import { Boarding } from "./boarding.ts";
import type { Drain } from "./drain.ts";
import {
  isAnswered,
  type LiveTurn,
  type NewTurn,
  type PreparedTurn,
  prepareTurn,
  resumeTurn,
  slotsOf,
  startTurn,
} from "./live-turn.ts";
import { readFrames, TurnLog } from "./log.ts";
import { interrupt, resumable, spentUntil } from "./recover.ts";
import { seenTurn, turnLine } from "./responses.ts";
import { readSession, type Session } from "./session.ts";
import { hasTables } from "./storage.ts";
import { titleByModel, titleByWords, type TitleModel, type TitlingHost } from "./titling.ts";
import { countResume, openTurn, requestCancel, type StoredOutcome } from "./turns.ts";

/** A live turn keeps its object awake and is looked after this often. */
const WATCH_MS = 30_000;
export interface SessionDeps {
  accounts: Pick<Accounts, "check" | "admit" | "settle" | "wait">;
  /** Fills in what a request leaves out. */
  resolve(request: ChatRequest, preferences: Preferences, said?: SaidMessage[]): ResolvedChat;
  turns: TurnRunner;
  tools: ToolServer;
  cache: Pick<Cache, "write">;
  purge: CacheAdmin["purge"];
  explain: CacheAdmin["explain"];
  history: HistoryStore;
  attachments: Attachments;
  prices: ModelPrices;
  log: Log;
  onBehalfOf: OnBehalfOf;
  meter: Meter;
  /** Told of each turn when it has ended. */
  onTurnEnd(turn: SeenTurn): void;
  now: () => number;
  newId: () => string;
  /** 0 <= x < 1 */
  random: () => number;
  /** Tokens of earlier messages that a model is shown, at most. */
  contextTokens: number;
  keepAliveMs: number;
  /** How often the accounts of those who watch are asked again. */
  recheckMs: number;
  /** How long an ended turn's log can be read, and a session outside the history lives. */
  turnLogMs: number;
  /** How long what main has read of the cache is waited for. */
  aheadTimeoutMs: number;
  /** How long after its last use a session stays in its object. */
  restMs: number;
  /** Left out: titles are the first words of a session. */
  titleModel?: TitleModel | undefined;
}

interface Asking {
  userId: string;
  requestId: string;
  request: AnswerOptions["request"];
}

export class TurnKeeper {
  readonly #state: Pick<DurableObjectState, "storage" | "abort">;
  readonly #deps: SessionDeps;
  readonly #drain: Drain;
  readonly boarding = new Boarding();
  #live: LiveTurn | undefined;
  #awake = false;

  constructor(state: Pick<DurableObjectState, "storage" | "abort">, deps: SessionDeps, drain: Drain) {
    this.#state = state;
    this.#deps = deps;
    this.#drain = drain;
  }

  get live(): LiveTurn | undefined {
    return this.#live;
  }

  find(turnId: string): LiveTurn | undefined {
    return this.#live?.id === turnId ? this.#live : undefined;
  }

  toolsFor({ request, ...context }: Asking): Promise<ToolList | undefined> {
    return request.tools === "none" ? Promise.resolve(undefined) : this.#deps.tools.list(context);
  }

  /** Asks the cache, and writes nothing. */
  prepare(session: Session, tools: ToolList | undefined, turn: NewTurn): PreparedTurn {
    const prepared = prepareTurn(this.#host(session, tools), turn);
    this.boarding.prepare(prepared.begun.flight);
    return prepared;
  }

  /** Where the cache would be asked; it is not. */
  slots(session: Session, tools: ToolList | undefined, turn: NewTurn): TurnSlots {
    return slotsOf(this.#host(session, tools), turn);
  }

  start(session: Session, tools: ToolList | undefined, prepared: PreparedTurn): void {
    const live = startTurn(this.#host(session, tools), prepared);
    this.boarding.start(live.log);
    this.#attend(live, session);
  }

  stop(live: LiveTurn, reason: StopReason): void {
    if (reason === "cancelled") requestCancel(this.#state.storage.sql, live.id);
    live.abort.abort(reason);
  }

  /** A turn whose question has been answered takes a place of those that run again. */
  goOn(live: LiveTurn): Promise<void> {
    this.#tellWaiting(live, false);
    return this.lookAfter(live);
  }

  /** A turn that works is looked after often; one that waits for a person, when the time to answer is over. */
  async lookAfter(live: LiveTurn): Promise<void> {
    const { gate } = live;
    const { expiresAtMs } = gate;
    const nowMs = this.#deps.now();
    if (expiresAtMs !== undefined && expiresAtMs <= nowMs) {
      gate.expire();
      this.#tellWaiting(live, false);
    }
    await this.#state.storage.setAlarm(gate.expiresAtMs ?? nowMs + WATCH_MS);
  }

  /** Once in an object's life: a turn that has not ended was cut. It is taken up again or ended. */
  async wake(): Promise<void> {
    if (this.#awake) return;
    const { storage } = this.#state;
    const turn = hasTables(storage.sql) ? openTurn(storage.sql) : undefined;
    const session = turn && readSession(storage.sql);
    const tools =
      turn &&
      session &&
      (await this.toolsFor({ ...turn.plan, request: turn.plan.chat.request, userId: session.userId }));
    // Another request may have done it meanwhile.
    if (this.#awake) return;
    this.#awake = true;
    if (turn === undefined || session === undefined) return;
    const frames = readFrames(storage.sql, turn.id);
    const resumed = resumable(turn, frames);
    if (resumed === undefined) {
      const outcome = interrupt(this.#host(session, tools), turn, frames);
      this.#settle({ id: turn.id, requestId: turn.plan.requestId }, session, outcome);
      if (hasCheckpoints(storage.sql)) deleteCheckpoints(storage.sql, turn.id);
      void storage.setAlarm(this.#deps.now());
      return;
    }
    if (turn.state === "running") countResume(storage.sql, turn.id);
    const log = new TurnLog(storage.sql, turn.id, this.#deps.now, frames);
    const spent = spentUntil(storage.sql, turn, resumed);
    this.#attend(resumeTurn(this.#host(session, tools), turn, log, { ...resumed, spent }), session);
  }

  #host(session: Session, tools: ToolList | undefined) {
    const { turns, prices, now, newId, contextTokens } = this.#deps;
    return { storage: this.#state.storage, session, tools, turns, prices, now, newId, contextTokens };
  }

  #attend(live: LiveTurn, session: Session): void {
    this.#live = live;
    void this.lookAfter(live);
    void this.#rest(live, session);
    // No waitUntil: an object lives as long as it works, and must be free to sleep while a person is waited for.
    this.#seeThrough(live, session).catch(() => {
      // An end that could not be written: a fresh object finds the turn cut and ends it.
      this.#state.abort("a turn's end could not be stored");
    });
  }

  /** A person may take long: what was said until then does not wait for the answer, and others may be asked meanwhile. */
  async #rest(live: LiveTurn, session: Session): Promise<void> {
    await live.gate.asking;
    this.#tellWaiting(live, true);
    if (session.stored) await this.#drain.run();
  }

  async #seeThrough(live: LiveTurn, session: Session): Promise<void> {
    const { outcome, keep } = await live.ended;
    if (!keep.entries.some(({ slot }) => slot.layer === "llm")) live.flight?.shut();
    this.#live = undefined;
    // Its words are still to go out, and go first: nobody waits for what follows.
    if (outcome.cache === "hit") await nextTask();
    this.#settle(live, session, outcome);
    const { log, now, cache, turnLogMs, titleModel } = this.#deps;
    log(turnLine(live, outcome, now()));
    this.#deps.onTurnEnd(seenTurn(live, outcome, now()));
    if (session.title === "") this.#titleByWords();
    await Promise.all([
      // Whoever asks from here on finds the answer in the cache.
      cache.write(keep).then(() => live.flight?.land()),
      session.stored ? this.#drain.run() : this.#state.storage.setAlarm(now() + turnLogMs),
      titleModel && this.#titleByModel(live, titleModel),
    ]);
    this.#deps.meter.flushSoon();
  }

  /** Told at once and waited for by nobody. What no message brings to the ledger, the account does. */
  #settle(
    { id: turnId, requestId }: Pick<LiveTurn, "id" | "requestId">,
    session: Session,
    outcome: StoredOutcome,
  ): void {
    const { messageId, model, provider, cache } = outcome;
    const usage = cache === "hit" ? NO_USAGE : outcome.usage;
    const isDrained = session.stored && isAnswered(outcome) && !readSession(this.#state.storage.sql)?.erased;
    const named = session.stored ? { sessionId: session.id, turnId } : { sessionId: null, turnId: null };
    const record = isDrained ? {} : { record: { id: messageId, kind: "turn" as const, provider, ...named } };
    void this.#deps.accounts.settle(session.userId, { reservationId: requestId, model, usage, ...record });
  }

  #tellWaiting({ requestId }: LiveTurn, waits: boolean): void {
    const session = readSession(this.#state.storage.sql);
    if (session !== undefined) void this.#deps.accounts.wait(session.userId, requestId, waits);
  }

  #titleByWords(): void {
    const { sql } = this.#state.storage;
    const session = readSession(sql);
    if (session !== undefined) titleByWords(sql, session, this.#deps.now());
  }

  /** Behind the reply, beside the drain: nobody waits for a title. */
  async #titleByModel({ id, requestId }: LiveTurn, titleModel: TitleModel): Promise<void> {
    const { now, newId, accounts } = this.#deps;
    const tellUsage: TitlingHost["tellUsage"] = ({ id: sessionId, userId }, usage, provider) => {
      const record = { id: newId(), kind: "title", sessionId, turnId: id, provider } as const;
      void accounts.settle(userId, { model: titleModel.model, usage, record });
    };
    const host = { sql: this.#state.storage.sql, now, titleModel, tellUsage };
    if (await titleByModel(host, id, requestId)) await this.#drain.run();
  }
}
