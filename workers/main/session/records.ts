/**
 * What is done to a session besides turns: it is made, shown, renamed, archived, and given messages. What changes is owed to Postgres
 * and paid before the answer, so that lists there show it; while Postgres is away the answer comes all the same.
 * State: SQLite. It refuses to write while a turn runs.
 */
import { AppError } from "../../../contracts/errors.ts";
import type { HistoryStore, StoredSession } from "../../../contracts/history.ts";
import type { SessionView } from "../../../contracts/sessions.ts";
import type {
  AppendMessage,
  ChangeSession,
  CreateSession,
  UploadAttachment,
  ViewSession,
} from "../../../contracts/session.ts";
import { keepFiles } from "./attachments.ts";
import type { Drain } from "./drain.ts";
import { unreadable } from "./hold.ts";
import type { SessionDeps } from "./keeper.ts";
import { claim, findClaim } from "./idempotency.ts";
import { appendMessage, findMessage, type Message, messagesBefore, newestSeq } from "./messages.ts";
import { viewNow } from "./pages.ts";
import type { Rest } from "./rest.ts";
import {
  changeSession,
  insertSession,
  newEmptySession,
  readSession,
  requireOwner,
  type Session,
  updatedAtMs,
} from "./session.ts";
import { createTables } from "./storage.ts";
import { titleByWords } from "./titling.ts";
import { openTurn } from "./turns.ts";

/** How long an answer waits for Postgres. */
const PAY_MS = 3_000;
/** Among so many of the newest messages one is looked for that is sent again. */
const RECENT = 16;

export interface RecordsDeps {
  storage: DurableObjectStorage;
  history: HistoryStore;
  drain: Drain;
  rest: Rest;
  resolve: SessionDeps["resolve"];
  now: () => number;
}

export class SessionRecords {
  readonly #deps: RecordsDeps;
  readonly #sql: SqlStorage;

  constructor(deps: RecordsDeps) {
    this.#deps = deps;
    this.#sql = deps.storage.sql;
  }

  async create({ sessionId: id, userId, title, model, preferences }: CreateSession): Promise<Response> {
    createTables(this.#sql);
    // The same command may come twice.
    if (readSession(this.#sql) === undefined) {
      const chat = this.#deps.resolve({ ...model, prompt: "" }, preferences);
      const session = newEmptySession({ id, userId, chat, createdAtMs: this.#deps.now() }, title);
      insertSession(this.#sql, session);
    }
    return Response.json(await this.#paid(userId), { status: 201 });
  }

  async change({ title, isActive, userId }: ChangeSession, session: Session): Promise<Response> {
    const change = { title, isActive, ...(title !== undefined && { titleBy: "user" as const }) };
    changeSession(this.#sql, session, change, this.#deps.now());
    return Response.json(await this.#paid(userId));
  }

  /** `session`: undefined when the object does not hold it. */
  async view({ sessionId, userId }: ViewSession, session: Session | undefined): Promise<Response> {
    if (session !== undefined) return Response.json(this.#view(session));
    const read = await this.#deps.history.readSession(sessionId, userId);
    if (!read.ok) throw unreadable(read.error);
    if (read.value === undefined) throw new AppError("not_found", "there is no such session");
    return Response.json(viewStored(read.value));
  }

  async append(command: AppendMessage, session: Session): Promise<Response> {
    const earlier = this.#findEarlier(command);
    const message = earlier ?? this.#append(command, session);
    await this.#paid(command.userId);
    const headers = earlier ? { "idempotent-replayed": "true" } : {};
    return Response.json(viewNow(this.#sql, message), { status: 201, headers });
  }

  /** The session's from here on, and Postgres's: whether a message ever shows it or not. */
  async upload({ file }: UploadAttachment, { userId }: Session): Promise<Response> {
    keepFiles(this.#sql, [file]);
    await this.#paid(userId);
    return new Response(null, { status: 204 });
  }

  /** The message that this very command, or an earlier one with its idempotency key, has saved. */
  #findEarlier({ idempotency, messageId }: AppendMessage): Message | undefined {
    const claimed = idempotency && findClaim(this.#sql, idempotency);
    if (claimed?.turnId) return findMessage(this.#sql, claimed.turnId);
    return messagesBefore(this.#sql, undefined, RECENT).find(({ id }) => id === messageId);
  }

  #append({ messageId: id, role, content, idempotency }: AppendMessage, session: Session): Message {
    const turn = openTurn(this.#sql);
    if (turn !== undefined) {
      const details = { turn_id: turn.id };
      throw new AppError("turn_in_progress", "the session is answering a message", { details });
    }
    const nowMs = this.#deps.now();
    const parentSeq = newestSeq(this.#sql);
    const said = { id, parentSeq, turnId: null, role, content, status: "complete", tokens: 0, details: {} } as const;
    const seq = this.#deps.storage.transactionSync(() => {
      if (idempotency) claim(this.#sql, idempotency, id, nowMs);
      const written = appendMessage(this.#sql, { ...said, createdAtMs: nowMs });
      if (role === "user") titleByWords(this.#sql, session, nowMs);
      return written;
    });
    return { ...said, seq, createdAtMs: nowMs };
  }

  /** The session once Postgres knows of it, or is known to be away. */
  async #paid(userId: string): Promise<SessionView> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PAY_MS);
    });
    await Promise.race([this.#deps.drain.run(), late]).finally(() => clearTimeout(timer));
    await this.#deps.rest.plan();
    return this.#view(requireOwner(readSession(this.#sql), userId));
  }

  #view(session: Session): SessionView {
    const turn = openTurn(this.#sql);
    const { id, title, modelType, modelName, isActive, createdAtMs } = session;
    const state = turn?.state === "waiting" ? "waiting" : "running";
    return {
      ...{ id, title, model_type: modelType, model_name: modelName, is_active: isActive },
      created_at: new Date(createdAtMs).toISOString(),
      updated_at: new Date(updatedAtMs(this.#sql, session)).toISOString(),
      message_count: Math.max(0, (newestSeq(this.#sql) ?? 0) - session.forgottenSeq),
      turn: turn ? { turn_id: turn.id, state } : null,
    };
  }
}

function viewStored({ id, title, modelType, modelName, isActive, ...session }: StoredSession): SessionView {
  return {
    ...{ id, title, model_type: modelType, model_name: modelName, is_active: isActive },
    created_at: new Date(session.createdAtMs).toISOString(),
    updated_at: new Date(session.updatedAtMs).toISOString(),
    // Places rise by one.
    message_count: session.newestSeq - session.forgottenSeq,
    turn: null,
  };
}
