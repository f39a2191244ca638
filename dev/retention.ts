/**
 * `npm run retention -- [--days N] [--message-days N] [--turn-log-seconds N] [--host https://…] [--dry-run]`: how much of each kind retention would
 * delete now: sessions and messages by DATABASE_URL, turn logs and checkpoints by asking a deployment, as the admin whose key is in BASECHAT_KEY;
 * a local run is found by itself. What is left out is the deployment's setting. State: none. It deletes nothing, ever: the deployment does.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import * as z from "zod";
import { RetentionPage } from "../contracts/retention.ts";
import { explain, findAddress } from "../db/migrate.ts";
import { openSql, type Sql } from "../db/open.ts";
import { ROOT } from "./build.ts";
import { ApiClient } from "./smoke/client.ts";

const USAGE =
  "Usage: npm run retention -- [--days DAYS] [--message-days DAYS] [--turn-log-seconds SECONDS] [--host https://host] [--url postgres://…] [--dry-run]";
const TIMEOUT_MS = 120_000;

export interface Kept {
  /** Undefined: for ever. */
  sessionDays: number | undefined;
  messageDays: number | undefined;
}

/** What is in Postgres, and what of it would go; messages of sessions that would go stand there alone. */
export async function countStored(sql: Sql, { sessionDays, messageDays }: Kept) {
  const [row] = await sql`
    with idle as (
      select id from chat_sessions where updated_at < now() - ${sessionDays ?? null}::float8 * interval '1 day'),
    kept as (
      select session_id, min(seq) filter (where created_at >= now() - ${messageDays ?? null}::float8 * interval '1 day') as first
      from messages group by session_id)
    select (select count(*) from chat_sessions)::int8 as sessions, (select count(*) from idle)::int8 as idle_sessions,
      count(*)::int8 as messages, count(*) filter (where session_id in (select id from idle))::int8 as idle_messages,
      count(*) filter (where ${messageDays !== undefined}::boolean and session_id not in (select id from idle)
        and (kept.first is null or seq < kept.first))::int8 as old_messages
    from messages join kept using (session_id)`;
  const count = (name: string) => Number(row?.[name]);
  return {
    sessions: { expired: count("idle_sessions"), of: count("sessions"), messages: count("idle_messages") },
    messages: { expired: count("old_messages"), of: count("messages") },
  };
}

export interface HeldCounts extends Pick<
  RetentionPage,
  "keeps" | "sessions" | "failed" | "turn_logs" | "checkpoints"
> {}

/** What objects hold past its time. `call` asks a deployment for a path. */
export async function countHeld(
  call: (path: string) => Promise<Response>,
  turnLogSeconds: number | undefined,
): Promise<HeldCounts> {
  const query = new URLSearchParams(turnLogSeconds === undefined ? {} : { turn_log_seconds: String(turnLogSeconds) });
  let sum: HeldCounts | undefined;
  for (;;) {
    const page = RetentionPage.parse(await (await call(`/history/retention?${query.toString()}`)).json());
    const { next_after: next, ...counts } = page;
    sum = sum === undefined ? counts : add(sum, counts);
    if (next === null) return sum;
    query.set("after", next);
  }
}

function add(sum: HeldCounts, page: HeldCounts): HeldCounts {
  return {
    keeps: sum.keeps,
    sessions: sum.sessions + page.sessions,
    failed: sum.failed + page.failed,
    turn_logs: sum.turn_logs + page.turn_logs,
    checkpoints: sum.checkpoints + page.checkpoints,
  };
}

type Stored = Awaited<ReturnType<typeof countStored>>;

/** A line for each kind. */
export function showTable({
  kept,
  stored,
  held,
}: {
  kept: Kept;
  stored: Stored;
  held: HeldCounts | undefined;
}): string {
  const days = (of: number | undefined, after: string) => (of === undefined ? "for ever" : `${of} days after ${after}`);
  const objects = held === undefined ? "?" : `sessions in use: ${held.sessions}`;
  const seconds = held === undefined ? "?" : `${held.keeps.turn_log_seconds} s after the turn's end`;
  const { sessions, messages } = stored;
  const rows = [
    ["kind", "kept", "would go", "of"],
    ["idle sessions", days(kept.sessionDays, "their last use"), String(sessions.expired), String(sessions.of)],
    ["  their messages", "with their session", String(sessions.messages), String(messages.of)],
    ["messages", days(kept.messageDays, "they were said"), String(messages.expired), String(messages.of)],
    ["turn logs", seconds, String(held?.turn_logs ?? "?"), objects],
    ["checkpoints", "until their turn ends", String(held?.checkpoints ?? "?"), objects],
  ];
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** As `npm run dev` writes it. */
const LocalRun = z.object({ url: z.string(), admin_api_key: z.string() });

/** The deployment that is asked; undefined: none is named and none runs here. */
async function findDeployment(host: string | undefined, isLocal: boolean): Promise<ApiClient | undefined> {
  if (host !== undefined) return new ApiClient(new URL(host), process.env["BASECHAT_KEY"]);
  if (!isLocal) return undefined;
  const text = await readFile(join(ROOT, ".dev/session.json"), "utf8").catch(() => "null");
  const run = LocalRun.safeParse(JSON.parse(text));
  return run.success ? new ApiClient(new URL(run.data.url), run.data.admin_api_key) : undefined;
}

const age = (text: string | undefined) => (text === undefined ? undefined : z.coerce.number().min(0).parse(text));

async function main(args: string[]): Promise<number> {
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args,
    options: {
      ...{ days: text, "message-days": text, "turn-log-seconds": text, host: text, url: text },
      "dry-run": { type: "boolean" },
    },
  });
  const address = await findAddress(values.url);
  if (address === undefined) {
    console.error(`No database: set DATABASE_URL, or pass --url.\n${USAGE}`);
    return 1;
  }
  const isLocal = values.url === undefined && !process.env["DATABASE_URL"];
  const deployment = await findDeployment(values.host, isLocal);
  const asked = deployment && countHeld((path) => deployment.call(path), age(values["turn-log-seconds"]));
  // A local run need not be there.
  const held = await (values.host === undefined ? asked?.catch(() => undefined) : asked);
  const sessionDays = age(values.days) ?? held?.keeps.session_days ?? undefined;
  // 0 is none, as in the setting.
  const messageDays = (age(values["message-days"]) ?? held?.keeps.message_days) || undefined;
  if (held === undefined && sessionDays === undefined && messageDays === undefined) {
    console.error(`Nothing to count: pass an age, or --host.\n${USAGE}`);
    return 1;
  }
  const kept = { sessionDays, messageDays };
  const stored = await countStored(openSql({ ...address, timeoutMs: TIMEOUT_MS }), kept);
  console.log(showTable({ kept, stored, held }));
  if (held === undefined)
    console.log("\nTurn logs and checkpoints are in objects: --host, with an admin's key in BASECHAT_KEY, asks them.");
  if (held !== undefined && held.failed > 0) console.log(`\n${held.failed} objects could not be asked.`);
  console.log(
    "\nNothing was deleted: main does, once an hour, and objects their own; docs/storage.md#retention says how.",
  );
  return 0;
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(explain(error));
    return 1;
  });
}
