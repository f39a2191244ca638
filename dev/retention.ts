/**
 * `npm run retention -- --days 365 [--dry-run]`: how many sessions and messages a RETENTION_DAYS of so many days would delete now, from
 * DATABASE_URL. State: none. It deletes nothing, ever: the deployment does, since the objects have a say in it.
 */
import { parseArgs } from "node:util";
import { explain, findAddress } from "../db/migrate.ts";
import { openSql, type Sql } from "../db/open.ts";

const USAGE = "Usage: npm run retention -- --days DAYS [--dry-run] [--url postgres://...]";
const TIMEOUT_MS = 120_000;

export async function countIdle(sql: Sql, days: number) {
  const [row] = await sql`
    with idle as (select id from chat_sessions where updated_at < now() - ${days}::float8 * interval '1 day')
    select (select count(*) from idle)::int8 as sessions, (select count(*) from chat_sessions)::int8 as of_sessions,
      (select count(*) from messages where session_id in (select id from idle))::int8 as messages`;
  return { sessions: Number(row?.["sessions"]), of: Number(row?.["of_sessions"]), messages: Number(row?.["messages"]) };
}

async function main(args: string[]): Promise<number> {
  const options = { days: { type: "string" }, "dry-run": { type: "boolean" }, url: { type: "string" } } as const;
  const { values } = parseArgs({ args, options });
  const days = Number(values.days);
  const address = await findAddress(values.url);
  if (!(days > 0) || address === undefined) {
    console.error(address === undefined ? "No database: set DATABASE_URL, or pass --url." : USAGE);
    return 1;
  }
  const { sessions, of, messages } = await countIdle(openSql({ ...address, timeoutMs: TIMEOUT_MS }), days);
  console.log(`${sessions} of ${of} sessions have not changed for ${days} days; they have ${messages} messages.`);
  console.log(
    `Nothing was deleted. With RETENTION_DAYS=${days} main deletes up to 1,000 an hour, but those whose objects were used since.`,
  );
  return 0;
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(explain(error));
    return 1;
  });
}
