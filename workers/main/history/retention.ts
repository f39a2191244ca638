/**
 * Deletes what the deployment keeps no longer: sessions that nobody has used for so long, and messages of that age in sessions that go on.
 * State: none; Postgres says what is that old, and each session's object, which knows of every use, decides. Refuses nothing: what cannot be
 * deleted now is tried at a later run. A run asks a bounded number of objects: half of them from the oldest on, half from a place that
 * differs from run to run, so that old ones that stay hold up none behind them.
 */
import type { AgedSession, HistoryStore } from "../../../contracts/history.ts";
import type { Result } from "../../../contracts/errors.ts";
import { newId } from "../../../contracts/ids.ts";
import type { Log } from "../../../contracts/log.ts";
import type { EraseSession, ForgetMessages, ForgottenMessages } from "../../../contracts/session.ts";

const DAY_MS = 24 * 3_600_000;
const PAGE = 50;
/** Of one run. */
const PAGES = 20;
/** Old messages that are looked at for the sessions that they are of. */
const MESSAGES = 500;
const AT_A_TIME = 5;

export interface RetentionDeps {
  history: Pick<HistoryStore, "idleSessions" | "agedMessages">;
  /** To the session's object. Each is one request of the Worker, whose number is bounded. */
  send(sessionId: string, command: EraseSession | ForgetMessages): Promise<Response>;
  requestId: string;
  /** From 0 to below 1. */
  random: () => number;
  now: () => number;
  log: Log;
}

/** Which ages are kept, in days; undefined: all. */
export interface KeptDays {
  sessions: number | undefined;
  messages: number | undefined;
}

interface Report {
  /** Rows of Postgres: sessions, or messages. */
  deleted: number;
  /** Sessions that have been used since, are in use, or are gone already. */
  kept: number;
  failed: number;
}

/** Sessions first: their messages go with them. Where both are looked after, each has half of the run. */
export async function retain(days: KeptDays, deps: RetentionDeps): Promise<void> {
  const share = days.sessions === undefined || days.messages === undefined ? 1 : 0.5;
  if (days.sessions !== undefined) await expireIdle(days.sessions, deps, share);
  if (days.messages !== undefined) await expireMessages(days.messages, deps, share);
}

async function expireIdle(days: number, deps: RetentionDeps, share: number): Promise<void> {
  const beforeMs = deps.now() - days * DAY_MS;
  await walk<{ id: string; userId: string }>(deps, {
    ...{ policy: "idle_sessions", beforeMs, share },
    async read(after) {
      const idle = await deps.history.idleSessions({ beforeMs, after, limit: PAGE });
      if (!idle.ok) return idle;
      return {
        ok: true,
        value: { found: idle.value, last: idle.value.at(-1)?.id, isFull: idle.value.length === PAGE },
      };
    },
    async expire({ id: sessionId, userId }) {
      const { requestId } = deps;
      const response = await deps.send(sessionId, {
        kind: "erase",
        sessionId,
        userId,
        requestId,
        unusedSinceMs: beforeMs,
      });
      await response.body?.cancel();
      return outcomeOf(response, 1);
    },
  });
}

async function expireMessages(days: number, deps: RetentionDeps, share: number): Promise<void> {
  const beforeMs = deps.now() - days * DAY_MS;
  await walk<AgedSession>(deps, {
    ...{ policy: "messages", beforeMs, share },
    async read(after) {
      const aged = await deps.history.agedMessages({ beforeMs, after, limit: MESSAGES });
      if (!aged.ok) return aged;
      const { sessions: found, ...page } = aged.value;
      return { ok: true, value: { found, ...page } };
    },
    async expire({ id: sessionId, userId, keepFrom }) {
      const { requestId } = deps;
      const response = await deps.send(sessionId, { kind: "forget", sessionId, userId, requestId, beforeMs, keepFrom });
      if (response.ok) return outcomeOf(response, (await response.json<ForgottenMessages>()).messages);
      await response.body?.cancel();
      return outcomeOf(response, 0);
    },
  });
}

type Outcome = Partial<Report>;

function outcomeOf({ ok, status }: Response, deleted: number): Outcome {
  if (ok) return { deleted };
  return status === 409 || status === 404 ? { kept: 1 } : { failed: 1 };
}

interface Walk<T> {
  policy: string;
  beforeMs: number;
  /** Of what a run may ask. */
  share: number;
  /** Those after an id, or after a place in time that is written as one. */
  read(after: string | undefined): Promise<Result<{ found: T[]; last: string | undefined; isFull: boolean }>>;
  expire(one: T): Promise<Outcome>;
}

async function walk<T>(deps: RetentionDeps, { policy, beforeMs, share, read, expire }: Walk<T>): Promise<void> {
  const startedAtMs = deps.now();
  const report: Report = { deleted: 0, kept: 0, failed: 0 };
  const tell = (more: object) => {
    const line = { service: "main", request_id: deps.requestId, route: "retention", audit: "retention", policy };
    deps.log({ ...line, ...report, ...more, ms: deps.now() - startedAtMs });
  };
  const most = PAGE * PAGES * share;
  let after: string | undefined;
  let asked = 0;
  let hasJumped = false;
  for (let page = 0; page < PAGES * share && asked < most; page += 1) {
    const some = await read(after);
    if (!some.ok) return tell({ error: some.error.code });
    const { found, last, isFull } = some.value;
    const now = found.slice(0, most - asked);
    for (let at = 0; at < now.length; at += AT_A_TIME) {
      const outcomes = await Promise.all(now.slice(at, at + AT_A_TIME).map((one) => attempt(() => expire(one))));
      for (const outcome of outcomes) add(report, outcome);
    }
    asked += now.length;
    after = last;
    if (!isFull || after === undefined) break;
    const isHalf = asked >= most / 2 || page + 1 >= (PAGES * share) / 2;
    if (isHalf && !hasJumped) after = placeBetween(after, beforeMs, deps.random());
    hasJumped ||= isHalf;
  }
  tell({});
}

async function attempt(work: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await work();
  } catch {
    return { failed: 1 }; // an object that cannot be reached now
  }
}

function add(report: Report, { deleted = 0, kept = 0, failed = 0 }: Outcome): void {
  report.deleted += deleted;
  report.kept += kept;
  report.failed += failed;
}

/** An id begins with the time of its making. */
function placeBetween(after: string, beforeMs: number, share: number): string {
  const fromMs = Number.parseInt(after.replace("-", "").slice(0, 12), 16);
  const place = newId(Math.floor(fromMs + share * (beforeMs - fromMs)), (length) => new Uint8Array(length));
  return place > after ? place : after;
}
