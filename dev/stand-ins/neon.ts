/**
 * Neon's SQL over HTTP, as @neondatabase/serverless 1.2.0 speaks it, in front of PGlite or of a real PostgreSQL.
 * State lives in the database behind it. Refuses what Neon refuses: other paths and methods, a missing connection
 * string, more than one statement in a text.
 * Modes: `err:SQLSTATE` answers that error without running anything; `500` answers no SQL error; `lost` runs the query
 * and cuts the connection before the answer.
 */
import type { IncomingHttpHeaders } from "node:http";
import * as z from "zod";
import { openPglite, openPostgres, type Database, type QueryOutcome, type Session } from "./neon/database.ts";
import { replyJson, serveStandIn, type Handle, type StandIn } from "./serve.ts";

export interface NeonOptions {
  port?: number;
  /** Folder of PGlite's data; left out: in memory. */
  dataDir?: string;
  /** Address of a real server, `postgres://...`: it is used instead of PGlite. */
  postgresUrl?: string;
  /** False: PGlite without pgvector, as a server that has not installed it. */
  pgvector?: false;
}

export async function serveNeon(options: NeonOptions = {}): Promise<StandIn> {
  const { postgresUrl, dataDir, pgvector } = options;
  const database = postgresUrl === undefined ? await openPglite({ dataDir, pgvector }) : openPostgres(postgresUrl);
  const standIn = await serveStandIn({
    name: "neon",
    ...(options.port !== undefined && { port: options.port }),
    counters: ["queries"],
    modes: (mode) => mode === "500" || mode === "lost" || /^err:[0-9A-Z]{5}$/.test(mode),
    handle: answer(database),
  });
  return {
    ...standIn,
    close: async () => {
      await standIn.close();
      await database.close();
    },
  };
}

const Query = z.object({ query: z.string(), params: z.array(z.string().nullable()).default([]) });
const Payload = z.union([Query, z.object({ queries: z.array(Query) })]);
type Query = z.infer<typeof Query>;

const ISOLATION: Record<string, string> = {
  ReadUncommitted: "READ UNCOMMITTED",
  ReadCommitted: "READ COMMITTED",
  RepeatableRead: "REPEATABLE READ",
  Serializable: "SERIALIZABLE",
};

/** The fields of an error that the driver reads, beside `message`. */
const ERROR_FIELDS =
  "severity code detail hint position internalPosition internalQuery where schema table column dataType constraint file line routine".split(
    " ",
  );

function answer(database: Database): Handle {
  return async (request, response, call) => {
    if (request.path !== "/sql") return replyJson(response, 404, { message: "not found" });
    if (request.method !== "POST") return replyJson(response, 405, { message: "method not allowed" });
    if (call.mode === "500") return replyJson(response, 500, { message: "Control plane request failed", code: null });

    const payload = readPayload(request.body);
    const begin = beginStatement(request.headers);
    if (!/^postgres(ql)?:\/\//.test(String(request.headers["neon-connection-string"]))) {
      return replyJson(response, 400, { message: "missing or malformed Neon-Connection-String" });
    }
    if (payload === undefined) return replyJson(response, 400, { message: "the body holds no query" });
    if (begin === undefined) return replyJson(response, 400, { message: "invalid isolation level" });
    call.count("queries", "queries" in payload ? payload.queries.length : 1);
    if (call.mode.startsWith("err:")) return replyFault(response, call.mode.slice(4));

    try {
      const reply = await database.use((session) => run(session, payload, begin));
      if (call.mode === "lost") call.hangUp("reset");
      else replyJson(response, 200, reply);
    } catch (error) {
      replyError(response, error);
    }
  };
}

async function run(session: Session, payload: z.infer<typeof Payload>, begin: string): Promise<unknown> {
  if ("query" in payload) return toReply(await session.query(payload.query, payload.params));
  await session.query(begin, []);
  try {
    const results = [];
    for (const { query, params } of payload.queries) results.push(toReply(await session.query(query, params)));
    await session.query("COMMIT", []);
    return { results };
  } catch (error) {
    // The connection itself may be the fault: the first error is the one to tell.
    await session.query("ROLLBACK", []).catch(() => undefined);
    throw error;
  }
}

function toReply(outcome: QueryOutcome): unknown {
  const fields = outcome.fields.map((field) => ({ ...field, format: "text" }));
  return { rowAsArray: true, ...outcome, fields };
}

function readPayload(body: Buffer): z.infer<typeof Payload> | undefined {
  try {
    return Payload.safeParse(JSON.parse(body.toString("utf8"))).data;
  } catch {
    return undefined;
  }
}

/** undefined: the headers name an isolation level that does not exist. */
function beginStatement(headers: IncomingHttpHeaders): string | undefined {
  const level = headers["neon-batch-isolation-level"];
  const isolation = level === undefined ? "" : ISOLATION[String(level)];
  if (isolation === undefined) return undefined;
  return [
    "BEGIN",
    isolation && `ISOLATION LEVEL ${isolation}`,
    headers["neon-batch-read-only"] === "true" && "READ ONLY",
    headers["neon-batch-deferrable"] === "true" && "DEFERRABLE",
  ]
    .filter(Boolean)
    .join(" ");
}

/** Neon's proxy answers 500 where it could not connect at all, and 400 once a statement ran. */
function replyFault(response: Parameters<Handle>[1], code: string): void {
  const status = code === "53300" ? 500 : 400;
  replyJson(response, status, {
    message: `injected fault ${code}`,
    severity: code.startsWith("57P") ? "FATAL" : "ERROR",
    code,
  });
}

function replyError(response: Parameters<Handle>[1], error: unknown): void {
  if (!(error instanceof Error)) throw error;
  const fields = new Map<string, unknown>(Object.entries(error));
  const body = Object.fromEntries(ERROR_FIELDS.map((name) => [name, fields.get(name) ?? null]));
  // Only PostgreSQL's own errors have a severity; a lost connection has a system's code or none.
  replyJson(response, body["severity"] === null ? 500 : 400, { message: error.message, ...body });
}
