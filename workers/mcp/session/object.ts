/**
 * The Durable Object of one MCP session, found by its user and its handle together: another user's handle leads to another object, which
 * knows nothing. State: the tables of storage.ts, and the protocol's server while the object is in memory. Ends when its client says so, or
 * after a time without a request. Refuses everything but the beginning while there is no session (404).
 */
import { DurableObject } from "cloudflare:workers";
import { openSession, type KeptWishes, type Session, wake } from "../protocol/session.ts";
import type { ServerParts } from "../protocol/server.ts";
import { parseBody, readBody, refuseMessage } from "../protocol/messages.ts";
import type { Caller } from "../tools/tool.ts";
import { createEvents, readFinished, type SessionEvents } from "./events.ts";
import { NEW_HANDLE_HEADER } from "./handle.ts";
import * as storage from "./storage.ts";

export interface SessionDeps {
  /** What a session serves; its tools run here. */
  parts: ServerParts;
  now: () => number;
  idleMs: number;
  readCaller(headers: Headers): Caller;
}

const MAX_BODY_BYTES = 4 * 1024 * 1024;
/** What a client says of itself is kept. */
const MAX_FIRST_CHARS = 64 * 1024;
const RETRY_MS = 500;
const STANDING_STREAM = "_GET_stream"; // the transport's name of the stream that belongs to no call

export class McpSessionObject<Env = unknown> extends DurableObject<Env> {
  readonly #sql: SqlStorage;
  readonly #storage: DurableObjectStorage;
  readonly #deps: SessionDeps;
  readonly #events: SessionEvents;
  #live: Session | undefined;
  /** Of the tools, as its client could last have listed them; undefined: since it woke nobody asked for anything. */
  #listVersion: string | undefined;
  /** When the resources that its client has subscribed to had changed last, in milliseconds, as far as it has been told. */
  readonly #seenChanges = new Map<string, number>();

  constructor(state: DurableObjectState, env: Env, deps: SessionDeps) {
    super(state, env);
    this.#storage = state.storage;
    this.#sql = state.storage.sql;
    this.#deps = deps;
    this.#events = createEvents(this.#sql);
  }

  override async fetch(request: Request): Promise<Response> {
    const handle = request.headers.get(NEW_HANDLE_HEADER);
    const body = await readBody(request.body, MAX_BODY_BYTES);
    const parsed = request.method === "POST" && body.ok ? parseBody(body.value) : undefined;
    if (parsed?.ok === false) return refuseMessage(parsed.refusal);
    const message = parsed?.message;
    if (Array.isArray(message)) return refuseMessage({ code: -32600, message: "A session takes no batches" });
    if (handle !== null) return this.#begin(request, handle, message);
    const session = await this.#find();
    if (session === undefined) return refuseMessage({ code: -32001, message: "Session not found" }, 404);
    await this.#touch();
    await this.#tellChanges(session, request.headers);
    // Its request does not wait for a database; before a GET is answered there may be no stream to be told on.
    if (request.method === "POST") this.ctx.waitUntil(this.#tellResources(session, request.headers));
    const rest = request.method === "GET" ? this.#readRest(request.headers) : undefined;
    if (rest !== undefined) return new Response(rest, { headers: { "content-type": "text/event-stream" } });
    const response = await session.handle(
      new Request(request.url, { method: request.method, headers: request.headers }),
      message,
    );
    if (request.method === "DELETE" && response.ok) await this.#end();
    return response;
  }

  /** Nobody has asked for a while. */
  override async alarm(): Promise<void> {
    const row = storage.readSession(this.#sql);
    const endsAtMs = (row?.seenAtMs ?? 0) + this.#deps.idleMs;
    if (row !== undefined && endsAtMs > this.#deps.now()) await this.#storage.setAlarm(endsAtMs);
    else await this.#end();
  }

  async #begin(request: Request, handle: string, message: unknown): Promise<Response> {
    const first = JSON.stringify(message);
    if (first.length > MAX_FIRST_CHARS) return refuseMessage({ code: -32602, message: "Too much is said" }, 413);
    const { userId } = this.#deps.readCaller(request.headers);
    storage.createTables(this.#sql);
    storage.insertSession(this.#sql, { handle, userId, first, seenAtMs: this.#deps.now() });
    await this.#storage.setAlarm(this.#deps.now() + this.#deps.idleMs);
    this.#live = await this.#open(handle);
    return this.#live.handle(new Request(request.url, { method: "POST", headers: request.headers }), message);
  }

  /** The session, woken if the object was out of memory; one at a time. */
  async #find(): Promise<Session | undefined> {
    if (this.#live !== undefined) return this.#live;
    return this.ctx.blockConcurrencyWhile(async () => {
      const row = storage.readSession(this.#sql);
      if (row === undefined || this.#live !== undefined) return this.#live;
      const session = await this.#open(row.handle);
      storage.dropUnfinished(this.#sql, STANDING_STREAM);
      this.#events.muted = true;
      await wake(session, { url: "https://mcp.internal/mcp", handle: row.handle, first: JSON.parse(row.first) });
      this.#events.muted = false;
      this.#live = session;
      return session;
    });
  }

  #open(handle: string): Promise<Session> {
    const { parts, now, readCaller } = this.#deps;
    return openSession({
      ...{ parts, handle, events: this.#events, wishes: this.#wishes(), retryMs: RETRY_MS },
      contextOf: (headers, signal) => ({ ...readCaller(headers), now, signal }),
    });
  }

  /** Tells a client that listens that its tools are others than before. Found out when it asks for something, whatever that is. */
  async #tellChanges(session: Session, headers: Headers): Promise<void> {
    const { parts, readCaller } = this.#deps;
    const list = await parts.registry.list(readCaller(headers)).catch(() => undefined); // nothing is known: nothing to tell
    const before = this.#listVersion;
    this.#listVersion = list?.version ?? before;
    if (before !== undefined && this.#listVersion !== before) await session.toolsChanged();
  }

  /** The same of the resources that it has subscribed to, all in one question. */
  async #tellResources(session: Session, headers: Headers): Promise<void> {
    const uris = storage.subscriptions(this.#sql);
    if (uris.length === 0) return;
    const changes = await this.#readChanges(uris, this.#deps.readCaller(headers));
    for (const [uri, changedAtMs] of changes) {
      const seenMs = this.#seenChanges.get(uri) ?? changedAtMs;
      this.#seenChanges.set(uri, changedAtMs);
      if (changedAtMs > seenMs) await session.resourceChanged(uri).catch(() => undefined); // it may have ended meanwhile
    }
  }

  /** Nothing is known while their source is away. */
  async #readChanges(uris: string[], caller: Caller): Promise<Map<string, number>> {
    const { resources } = this.#deps.parts.offers;
    return (await resources.changes?.(uris, caller).catch(() => undefined)) ?? new Map<string, number>();
  }

  /** What its client reads from now on is no older than what is noted here. */
  async #subscribe(uri: string, caller: Caller): Promise<boolean> {
    if (!storage.addSubscription(this.#sql, uri)) return false;
    this.#seenChanges.set(uri, (await this.#readChanges([uri], caller)).get(uri) ?? 0);
    return true;
  }

  #wishes(): KeptWishes {
    const sql = this.#sql;
    return {
      add: (uri, caller) => this.#subscribe(uri, caller),
      remove: (uri) => (this.#seenChanges.delete(uri), storage.removeSubscription(sql, uri)),
      isSubscribed: (uri) => storage.isSubscribed(sql, uri),
      setLevel: (level) => storage.setLevel(sql, level),
      level: () => storage.readSession(sql)?.level,
    };
  }

  #readRest(headers: Headers): string | undefined {
    const lastEventId = headers.get("last-event-id");
    return lastEventId === null ? undefined : readFinished(this.#sql, lastEventId);
  }

  /** Notes the time of a request, but not of each one: a row is written a twentieth of the session's life apart. */
  async #touch(): Promise<void> {
    const nowMs = this.#deps.now();
    const seenAtMs = storage.readSession(this.#sql)?.seenAtMs ?? nowMs;
    if (nowMs - seenAtMs < this.#deps.idleMs / 20) return;
    storage.setSeen(this.#sql, nowMs);
    if ((await this.#storage.getAlarm()) === null) await this.#storage.setAlarm(nowMs + this.#deps.idleMs);
  }

  async #end(): Promise<void> {
    const live = this.#live;
    this.#live = undefined;
    await live?.close();
    await this.#storage.deleteAlarm();
    await this.#storage.deleteAll();
  }
}
