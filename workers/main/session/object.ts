/**
 * The Durable Object of one chat session: its only writer. Every turn of the session runs here and outlives its viewers.
 * State: SQLite (storage.ts) and the live turn (keeper.ts). It refuses anyone but the session's owner, as if there were no session.
 */
import { DurableObject } from "cloudflare:workers";
import type { Admitted } from "../../../contracts/accounts.ts";
import { AppError } from "../../../contracts/errors.ts";
import type {
  AppendMessage,
  ClaimKey,
  DiscardSession,
  EraseSession,
  ExplainTurn,
  ReadAttachment,
  SessionCommand,
  StartTurn,
} from "../../../contracts/session.ts";
import { type Ahead, readCommand } from "./ahead.ts";
import { createDrain, type Drain } from "./drain.ts";
import { createEraser, type Eraser } from "./erase.ts";
import { createHold, type Hold, type KeepingCommand } from "./hold.ts";
import { countExpired, expire, NOTHING_EXPIRED } from "./expiry.ts";
import { createForget, type Forget } from "./forget.ts";
import { claim, findClaim } from "./idempotency.ts";
import { type SessionDeps, TurnKeeper } from "./keeper.ts";
import { createPages, type Pages } from "./pages.ts";
import { SessionRecords } from "./records.ts";
import { attachmentReply, errorResponse, eventStream } from "./responses.ts";
import { createRest, type Rest } from "./rest.ts";
import { readSession, requireOwner, type Session } from "./session.ts";
import { createTables, hasTables, upgradeTables } from "./storage.ts";
import { requireSession, type Start, TurnStarter } from "./starter.ts";
import { TurnDesk } from "./turn-desk.ts";
import { newestTurn } from "./turns.ts";

const CLAIM_KEPT_MS = 24 * 3_600_000;

export class SessionObject<Env = unknown> extends DurableObject<Env> {
  readonly #deps: SessionDeps;
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  readonly #drain: Drain;
  readonly #keeper: TurnKeeper;
  readonly #starter: TurnStarter;
  readonly #turns: TurnDesk;
  readonly #pages: Pages;
  readonly #rest: Rest;
  readonly #hold: Hold;
  readonly #records: SessionRecords;
  readonly #eraser: Eraser;
  readonly #forget: Forget;
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
    this.#forget = createForget({ ...parts, starter: this.#starter, rest: this.#rest });
    this.#turns = new TurnDesk(this.#sql, this.#keeper, deps);
  }

  override async fetch(request: Request): Promise<Response> {
    const [command, ahead] = await readCommand(request, this.#deps.aheadTimeoutMs);
    return this.#deps.onBehalfOf(command, () => this.#serve(command, ahead));
  }

  async #serve(command: SessionCommand, ahead: Promise<Ahead> | undefined): Promise<Response> {
    this.#answering += 1;
    try {
      this.#open();
      await this.#keeper.wake();
      return await this.#answer(command, ahead);
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
  override alarm(): Promise<void> {
    return this.#deps.onBehalfOf({ requestId: this.#deps.newId() }, () => this.#lookAfter());
  }

  async #lookAfter(): Promise<void> {
    this.#open();
    await this.#keeper.wake();
    const session = readSession(this.#sql);
    if (this.#keeper.live !== undefined) {
      await this.#keeper.lookAfter(this.#keeper.live);
    } else if (session?.erased) {
      await this.#drain.erase(session);
    } else if (session?.stored) {
      await this.#drain.run();
      // Of a user who is gone, nothing is left by now.
      if (readSession(this.#sql) !== undefined) expire(this.#sql, session, this.#deps);
      await this.#rest.try();
    } else {
      await this.#expire();
    }
  }

  #open(): void {
    if (!this.#isOpen) upgradeTables(this.#sql);
    this.#isOpen = true;
  }

  async #answer(command: SessionCommand, ahead?: Promise<Ahead>): Promise<Response> {
    switch (command.kind) {
      case "start":
        return this.#starter.guard(command, (admitted) => this.#start({ ...command, ahead }, admitted));
      case "follow":
        return eventStream(await this.#keeper.boarding.follow(command), {});
      case "explain":
        return this.#explain(command);
      case "claim":
        return this.#claim(command);
      case "watch":
        return this.#turns.watch(command);
      case "recall":
        return Response.json(await this.#turns.recall(command));
      case "inspect":
        return this.#turns.inspect(command);
      case "approve":
        return this.#turns.approve(command);
      case "messages":
        return Response.json(await this.#pages.list(command, this.#ownedIfHeld(command) !== undefined));
      case "attachment":
        return this.#attachment(command);
      case "upload":
        return this.#records.upload(command, await this.#held(command));
      case "create":
        return this.#records.create(command);
      case "view":
        return this.#records.view(command, this.#ownedIfHeld(command));
      case "change":
        return this.#records.change(command, await this.#held(command));
      case "append":
        return this.#append(command);
      case "forget":
        return this.#hold.alone(async () => Response.json({ messages: await this.#forget(command) }));
      case "expired":
        return Response.json(this.#ownedIfHeld(command) ? countExpired(this.#sql, command.beforeMs) : NOTHING_EXPIRED);
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

  async #start(asked: Start, admitted: Promise<Admitted>): Promise<Response> {
    const receivedAtMs = this.#deps.now();
    const command = asked.makeIfMissing && !(await this.#hold.find(asked)) ? { ...asked, create: true } : asked;
    if (!command.create) await this.#hereFor(command);
    return this.#turns.respond(await this.#starter.start(command, admitted), command, receivedAtMs);
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

  /** A session outside the history ends an hour after its last turn; an object of claims alone, with them. */
  async #expire(): Promise<void> {
    const endedAtMs = hasTables(this.#sql) ? newestTurn(this.#sql)?.endedAtMs : undefined;
    const expiresAtMs = (endedAtMs ?? 0) + this.#deps.turnLogMs;
    if (expiresAtMs > this.#deps.now()) await this.#storage.setAlarm(expiresAtMs);
    else await this.#storage.deleteAll();
  }
}
