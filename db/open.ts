/**
 * Opens Postgres over Neon's SQL-over-HTTP, in a Worker or in Node, and reads the faults it throws. No state: each
 * query is one HTTP request with its own time limit. Refuses an answer that is not the database's own.
 */
import { neon, neonConfig, NeonDbError, type NeonQueryFunction } from "@neondatabase/serverless";
import { drizzle, type NeonHttpDatabase } from "drizzle-orm/neon-http";

export interface DbAddress {
  /** `postgres://user:password@host/database` */
  databaseUrl: string;
  /** The SQL-over-HTTP address, `https://host/sql`; left out: the one that the driver derives from `databaseUrl`. */
  httpUrl?: string | undefined;
  /** Limit of one query, its answer included. */
  timeoutMs: number;
}

export type Sql = NeonQueryFunction<false, false>;
export type Db = NeonHttpDatabase;

export function openDb(address: DbAddress): Db {
  return drizzle({ client: openSql(address) });
}

/** The bare driver, for statements that are no Drizzle queries. */
export function openSql({ databaseUrl, httpUrl, timeoutMs }: DbAddress): Sql {
  // The driver takes an endpoint only globally. Its fetch is global too, but is handed the client's own options:
  // with this one constant function set, every client keeps its own endpoint and limit, and none sees another's.
  neonConfig.fetchFunction = fetchAsAsked;
  return neon(databaseUrl, { fetchOptions: { asked: { url: httpUrl, timeoutMs } satisfies Asked } });
}

interface Asked {
  url: string | undefined;
  timeoutMs: number;
}

async function fetchAsAsked(url: string, { asked, ...init }: RequestInit & { asked?: Asked }): Promise<Response> {
  if (asked === undefined) return fetch(url, init);
  const response = await fetch(asked.url ?? url, { ...init, signal: AbortSignal.timeout(asked.timeoutMs) });
  // Read here, so that whatever goes wrong on the way is told apart from what the database says.
  const text = await response.text();
  if (!isAnswer(response.status, text)) throw new DbHttpError(response.status);
  return new Response(text, { status: response.status });
}

/** The database's own: an error, or what each statement was and gave. A gateway's JSON would else pass for values that cannot be stored. */
function isAnswer(status: number, text: string): boolean {
  if (status === 400) return text.startsWith("{");
  return status === 200 && (text.includes('"command":') || text.startsWith('{"results":[]'));
}

/** The HTTP side refused: a gateway's page, an overloaded or sleeping proxy. */
class DbHttpError extends Error {
  readonly status: number;

  constructor(status: number) {
    super(`the database's HTTP endpoint answered ${status}`);
    this.name = "DbHttpError";
    this.status = status;
  }
}

/** Why a query failed, without SQL, parameters or a driver's words: safe to log. */
export type DbFault =
  | { kind: "timeout"; reason: string }
  /** The same query may succeed later. */
  | { kind: "unavailable"; reason: string }
  /** The same values fail for ever. */
  | { kind: "values"; reason: string };

/** `reason` is an SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html), `http NNN` or one of our words. */
export function readDbFault(error: unknown): DbFault {
  const chain = causes(error);
  const driver = chain.find((cause) => cause instanceof NeonDbError);
  if (driver === undefined) return { kind: "values", reason: "unencodable" };
  if (chain.some((cause) => cause.name === "TimeoutError")) return { kind: "timeout", reason: "timeout" };
  const http = chain.find((cause) => cause instanceof DbHttpError);
  // 413: the batch is too large; its parts may fit.
  if (http) return { kind: http.status === 413 ? "values" : "unavailable", reason: `http ${http.status}` };
  if (driver.code) return readSqlState(driver.code);
  return { kind: "unavailable", reason: driver.sourceError ? "network" : "driver" };
}

function readSqlState(code: string): DbFault {
  if (code === "57014") return { kind: "timeout", reason: code };
  // 22 data exception, 23 constraint violation, 54 program limit: the values' own fault. A missing table (42) is not.
  return { kind: /^(22|23|54)/.test(code) ? "values" : "unavailable", reason: code };
}

function causes(error: unknown): Error[] {
  if (!(error instanceof Error)) return [];
  const inner = error instanceof NeonDbError ? (error.sourceError ?? error.cause) : error.cause;
  return [error, ...causes(inner)];
}
