/**
 * Starts turns in a session's object: one at a time, of those who may, once for each request. State: a start under way and how many
 * messages wait for a busy session. Nothing is written before the user's account has agreed.
 */
import type { Admitted } from "../../../contracts/accounts.ts";
import { type ChatRequest, requestMessages } from "../../../contracts/chat.ts";
import { AppError, orThrow } from "../../../contracts/errors.ts";
import { newTurnId } from "../../../contracts/ids.ts";
import type { LimitState } from "../../../contracts/limits.ts";
import { NO_USAGE } from "../../../contracts/rounds.ts";
import type { ExplainTurn, StartTurn } from "../../../contracts/session.ts";
import type { ToolList } from "../../../contracts/tools.ts";
import type { Preferences } from "../../../contracts/users.ts";
import type { TurnSlots } from "../chat/reuse.ts";
import type { Ahead } from "./ahead.ts";
import { beginning, branchOf } from "./branches.ts";
import { estimate } from "./estimate.ts";
import { claim, findClaim } from "./idempotency.ts";
import type { SessionDeps, TurnKeeper } from "./keeper.ts";
import type { LiveTurn, NewTurn } from "./live-turn.ts";
import { readMessage } from "./messages.ts";
import { insertSession, newSession, readSession, requireOwner, type Session } from "./session.ts";
import { createTables, hasTables } from "./storage.ts";
import { forgetLogs, newestTurn, nextTurnId, toPlan } from "./turns.ts";

/** Messages that may wait for a busy session. */
const MAX_WAITING = 8;
export interface Started {
  turnId: string;
  replayed: boolean;
  limits: LimitState;
}

export class TurnStarter {
  readonly #sql: SqlStorage;
  readonly #keeper: TurnKeeper;
  readonly #deps: SessionDeps;
  /** A turn is about to be written; settles when it is, or is not. */
  #starting: Promise<void> | undefined;
  #waiting = 0;

  constructor(sql: SqlStorage, keeper: TurnKeeper, deps: SessionDeps) {
    this.#sql = sql;
    this.#keeper = keeper;
    this.#deps = deps;
  }

  /** A turn is about to be written. */
  get isStarting(): boolean {
    return this.#starting !== undefined;
  }

  /** Settles when no turn is about to be written. */
  async settled(): Promise<void> {
    while (this.#starting !== undefined) await this.#starting;
  }

  /** Whoever the account refuses is told that, and not what else is wrong: it would say what the session holds. */
  async guard<T>(command: StartTurn, work: (admitted: Promise<Admitted>) => Promise<T>): Promise<T> {
    const admitted = this.#admit(command);
    admitted.catch(() => undefined); // whoever awaits it hears of it, however late
    try {
      return await work(admitted);
    } catch (error) {
      const { limits } = await admitted;
      this.#releaseUnstarted(command);
      if (error instanceof AppError) error.failure.limits = limits;
      throw error;
    }
  }

  async start(command: Start, admitted: Promise<Admitted>): Promise<Started> {
    const tools = await this.#keeper.toolsFor(command);
    let waited = false;
    for (;;) {
      // Of a start under way it is not yet known what comes of it.
      await this.settled();
      const live = this.#toWaitFor(command);
      if (live === undefined && this.#starting === undefined) break;
      const isToStop = command.request.on_busy === "interrupt" && !waited;
      if (live !== undefined) await this.#waitFor(live, admitted, isToStop);
      waited ||= live !== undefined;
    }
    // From here to the mark of a start nothing is awaited: two requests cannot both find the session free.
    const earlier = this.#findEarlier(command);
    const { live } = this.#keeper;
    if (earlier === undefined && live === undefined) {
      // Who has waited long is asked about again.
      const agreed = waited ? this.#admit(command) : admitted;
      const turnId = await this.#begin(command, tools, agreed);
      return { turnId, replayed: false, limits: (await agreed).limits };
    }
    const { limits } = await admitted;
    if (earlier === undefined) throw busy(live?.id ?? "");
    this.#releaseUnstarted(command);
    return { turnId: earlier, replayed: true, limits };
  }

  /** `isToStop`: the turn that ran when the request came; those that were queued before it keep their place. */
  async #waitFor(live: LiveTurn, admitted: Promise<Admitted>, isToStop: boolean): Promise<void> {
    this.#waiting += 1;
    try {
      await admitted;
      if (isToStop && this.#keeper.live === live) this.#keeper.stop(live, "cancelled");
      await live.ended;
    } finally {
      this.#waiting -= 1;
    }
  }

  /**
   * Asks the account and the cache at once, and writes once the account agrees. The cache is asked with the preferences that main
   * believes in, and once more in the rare case that they have changed.
   */
  async #begin(command: Start, tools: ToolList | undefined, admitted: Promise<Admitted>): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#starting = promise;
    try {
      const guessed = this.#prepare(command, tools, command.preferences);
      const { preferences } = await admitted;
      const isRight = JSON.stringify(preferences) === JSON.stringify(command.preferences);
      const { session, ...prepared } = isRight ? guessed : this.#prepare(command, tools, preferences);
      if (command.create) {
        createTables(this.#sql);
        insertSession(this.#sql, session);
      } else requireSession(this.#sql, command);
      this.#keeper.start(session, tools, prepared);
      return prepared.turn.id;
    } catch (error) {
      this.#keeper.boarding.abandon();
      throw error;
    } finally {
      this.#starting = undefined;
      resolve();
    }
  }

  /** Where the cache would be asked for a turn that was started like this. */
  async slotsFor(command: ExplainTurn): Promise<TurnSlots> {
    const tools = await this.#keeper.toolsFor(command);
    const plain = { ...command, branch: { kind: "end" }, route: "chat" } as const;
    const { session, turn } = this.#plan(plain, command.preferences);
    return this.#keeper.slots(session, tools, turn);
  }

  #prepare(command: Start, tools: ToolList | undefined, preferences: Preferences) {
    const { session, turn } = this.#plan(command, preferences);
    return { ...this.#keeper.prepare(session, tools, turn), session };
  }

  #plan(command: PlannedTurn, preferences: Preferences): { session: Session; turn: NewTurn } {
    const { create, idempotency, requestId, traceparent, route, userId, files = [], client, asked, ahead } = command;
    const nowMs = this.#deps.now();
    const said = command.said ?? requestMessages(command.request);
    const chat = { ...this.#deps.resolve(command.request, preferences, said), ...(client && { client }) };
    if (create) this.#requireNoSession();
    const session = create
      ? newSession({ id: command.sessionId, userId, chat, createdAtMs: nowMs })
      : requireSession(this.#sql, command);
    const branch = create ? beginning(command.branch, said) : branchOf(this.#sql, command.branch, said);
    if (branch.said.length === 0) this.#requireShowable(command.request, preferences, branch.leafSeq);
    const id = create ? newTurnId(nowMs, session.id) : nextTurnId(this.#sql, session.id, nowMs);
    const turn: NewTurn = {
      id,
      plan: toPlan({ chat, branch, messageId: this.#deps.newId(), requestId, traceparent, route, asked }),
      ...branch,
      ...{ files, ahead },
      alsoWrite: () => {
        forgetLogs(this.#sql, this.#deps.now() - this.#deps.turnLogMs);
        if (idempotency) claim(this.#sql, idempotency, id, this.#deps.now());
      },
    };
    return { session, turn };
  }

  /** The model must be able to be shown what is attached to the question that it is to answer again. */
  #requireShowable(request: ChatRequest, preferences: Preferences, questionSeq: number | null): void {
    const question = readMessage(this.#sql, questionSeq ?? 0);
    const { attachments } = question?.details ?? {};
    if (question === undefined || attachments === undefined) return;
    this.#deps.resolve(request, preferences, [{ role: "user", content: question.content, attachments }]);
  }

  /** What the account says of who asks; throws when it refuses. */
  async #admit(command: StartTurn): Promise<Admitted> {
    const { credential, scope, create, request, sessionId } = command;
    const unstoredSessionId = create && request.store === false ? sessionId : undefined;
    const reservation = estimate(command, { ...this.#deps, lastTokens: () => this.#lastTokens() });
    const admitted = orThrow(await this.#deps.accounts.admit(credential, { reservation, unstoredSessionId }));
    if (admitted.scopes.includes(scope)) return admitted;
    this.#releaseUnstarted(command);
    throw new AppError("forbidden", `this needs an API key with the scope ${scope}`);
  }

  #lastTokens(): number | undefined {
    return hasTables(this.#sql) ? newestTurn(this.#sql)?.outcome?.usage.total_tokens : undefined;
  }

  /** A request that no turn came of holds nothing. */
  #releaseUnstarted({ userId, requestId }: StartTurn): void {
    if (this.#keeper.live?.requestId === requestId) return;
    void this.#deps.accounts.settle(userId, { reservationId: requestId, model: "", usage: NO_USAGE });
  }

  /** The turn whose end this request waits for, as it asks to; undefined when it may go on, or is to be refused. */
  #toWaitFor(command: StartTurn): LiveTurn | undefined {
    const { on_busy: whenBusy = "reject" } = command.request;
    const { live } = this.#keeper;
    if (live === undefined || whenBusy === "reject" || this.#findEarlier(command) !== undefined) return undefined;
    requireSession(this.#sql, command);
    if (this.#waiting >= MAX_WAITING) throw busy(live.id);
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

  #requireNoSession(): void {
    if (readSession(this.#sql) !== undefined) {
      throw new AppError("conflict", "this Idempotency-Key made a session before: use a new key");
    }
  }
}

/** What it takes to plan a turn. */
type PlannedTurn = Pick<StartTurn, "create" | "requestId" | "route" | "userId" | "sessionId" | "request" | "branch"> &
  Pick<Start, "idempotency" | "traceparent" | "client" | "asked" | "said" | "files" | "ahead">;

/** With what main has read of the cache for it, where it has. */
export type Start = StartTurn & { ahead?: Promise<Ahead> | undefined };

/** The one that is named; whoever goes on after a turn of it need not know its name. */
export function requireSession(sql: SqlStorage, { userId, sessionId, branch }: Addressed): Session {
  const session = requireOwner(readSession(sql), userId);
  if (branch.kind !== "after" && session.id !== sessionId) throw new AppError("not_found", "there is no such session");
  return session;
}

type Addressed = Pick<StartTurn, "userId" | "sessionId" | "branch">;

function busy(turnId: string): AppError {
  const details = { turn_id: turnId };
  return new AppError("turn_in_progress", "the session is answering another message", { details });
}
