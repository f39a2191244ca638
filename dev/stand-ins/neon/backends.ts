/**
 * The databases that every test of SQL runs on: PGlite in memory, and a fresh database of the real server that
 * TEST_POSTGRES_URL names (a role that may create databases). State ends with `close()`.
 */
import { Client } from "pg";
import { serveNeon } from "../neon.ts";
import type { StandIn } from "../serve.ts";

/** Any address the driver accepts: the stand-in does not look at it. */
export const DATABASE_URL = "postgres://user:password@db.example.test/basechat";

const postgresUrl = process.env["TEST_POSTGRES_URL"];

export interface NeonBackend {
  name: string;
  isMissing: boolean;
  open(): Promise<StandIn>;
}

export const NEON_BACKENDS: readonly NeonBackend[] = [
  { name: "PGlite", isMissing: false, open: () => serveNeon() },
  {
    name: "PostgreSQL of TEST_POSTGRES_URL",
    isMissing: postgresUrl === undefined,
    open: () => openFreshDatabase(postgresUrl ?? ""),
  },
];

async function openFreshDatabase(adminUrl: string): Promise<StandIn> {
  const name = `basechat_test_${crypto.randomUUID().replaceAll("-", "")}`;
  await runOnce(adminUrl, `create database ${name}`);
  const url = new URL(adminUrl);
  url.pathname = `/${name}`;
  const standIn = await serveNeon({ postgresUrl: url.href });
  return {
    ...standIn,
    close: async () => {
      await standIn.close();
      await runOnce(adminUrl, `drop database ${name}`);
    },
  };
}

async function runOnce(url: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
