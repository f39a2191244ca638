/**
 * The database behind the Neon stand-in: PGlite (in memory or in a folder) or a real PostgreSQL through `pg`.
 * Parameters go in and values come out as PostgreSQL's own text. State lives in PGlite or in the server.
 * PGlite has one connection: its users take turns.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { Pool, type PoolClient, type QueryArrayConfig } from "pg";

export interface QueryOutcome {
  command: string;
  rowCount: number | null;
  fields: {
    name: string;
    dataTypeID: number;
    tableID: number;
    columnID: number;
    dataTypeSize: number;
    dataTypeModifier: number;
  }[];
  rows: (string | null)[][];
}

/** One session of the database: a transaction begun on it stays on it. */
export interface Session {
  query(text: string, params: readonly (string | null)[]): Promise<QueryOutcome>;
}

export interface Database {
  /** Lends a session for as long as `work` runs. */
  use<T>(work: (session: Session) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

const asText = (value: string): string => value;
/** A connection that breaks under a query also rejects that query: the event tells nothing more. */
const ignore = (): void => undefined;

export interface PgliteOptions {
  dataDir: string | undefined;
  pgvector: false | undefined;
}

export async function openPglite({ dataDir, pgvector }: PgliteOptions): Promise<Database> {
  // PGlite makes its folder, not the folders above it.
  if (dataDir !== undefined) await mkdir(dirname(dataDir), { recursive: true });
  const lite = await PGlite.create({
    ...(pgvector ?? { extensions: { vector } }),
    ...(dataDir !== undefined && { dataDir }),
  });
  const types = await lite.query<{ oid: number }>("select oid::int4 as oid from pg_type");
  // A handler for every type of the catalogue: a type without one would fall back to PGlite's own.
  const text = Object.fromEntries(types.rows.map(({ oid }) => [oid, asText]));
  const session: Session = {
    query: async (query, params) => {
      const result = await lite.query<(string | null)[]>(query, [...params], {
        rowMode: "array",
        parsers: text,
        serializers: text,
      });
      const { command = "", rowCount = null, rows } = result;
      // PGlite tells neither the table nor the size of a column; the driver reads neither.
      const unknown = { tableID: 0, columnID: 0, dataTypeSize: -1, dataTypeModifier: -1 };
      return { command, rowCount, rows, fields: result.fields.map((field) => ({ ...field, ...unknown })) };
    },
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    use: (work) => {
      const turn = last.then(() => work(session));
      last = turn.catch(() => undefined);
      return turn;
    },
    close: async () => {
      await last;
      await lite.close();
    },
  };
}

export function openPostgres(url: string): Database {
  const pool = new Pool({ connectionString: url, max: 10 });
  // An idle connection that the server ends is replaced at the next use.
  pool.on("error", ignore);
  return {
    use: async (work) => {
      const client = await pool.connect();
      client.on("error", ignore);
      try {
        const outcome = await work({ query: (text, params) => queryPostgres(client, text, params) });
        client.release();
        return outcome;
      } catch (error) {
        // A fresh connection after any fault: no half-done transaction, no stale setting.
        client.release(true);
        throw error;
      } finally {
        client.off("error", ignore);
      }
    },
    close: () => pool.end(),
  };
}

async function queryPostgres(
  client: PoolClient,
  text: string,
  params: readonly (string | null)[],
): Promise<QueryOutcome> {
  // Neon prepares every statement, so that one text holds one statement; `queryMode` is missing in pg's types.
  const config: QueryArrayConfig & { queryMode: "extended" } = {
    text,
    values: [...params],
    rowMode: "array",
    types: { getTypeParser: () => asText },
    queryMode: "extended",
  };
  const { command, rowCount, fields, rows } = await client.query<(string | null)[]>(config);
  return {
    command,
    rowCount,
    rows,
    fields: fields.map(({ name, dataTypeID, tableID, columnID, dataTypeSize, dataTypeModifier }) => ({
      name,
      dataTypeID,
      tableID,
      columnID,
      dataTypeSize,
      dataTypeModifier,
    })),
  };
}
