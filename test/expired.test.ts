/** Turn logs and checkpoints whose time is over, and the table of a dry run. State: a house that keeps logs for three seconds. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TurnView } from "../contracts/chat.ts";
import { ROOT } from "../dev/build.ts";
import { LOCAL_DATABASE_URL } from "../dev/local.ts";
import { RetentionPage } from "../contracts/retention.ts";
import { countHeld, countStored, showTable } from "../dev/retention.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";
import { json, sessionCalls } from "./session-calls.ts";

/** A line, or the end of a turn, comes when it comes. */
const PATIENT = { timeout: 30_000 };
let house: House;
let as: Tenant;
let admin: Tenant;
beforeAll(async () => {
  const rule = { tool: "calculator", action: "ask" };
  house = await openHouse({ settings: { TURN_LOG_SECONDS: "3", TOOL_POLICY: JSON.stringify([rule]) } });
  as = await house.newTenant();
  admin = await house.newTenant("admin");
});
afterAll(() => house.close());

const { say, make, rename } = sessionCalls(() => ({ house, as }));
const held = (seconds: number) => countHeld((path) => house.call(path, { as: admin }), seconds);
const countIn = async (id: string, table: string) =>
  Number((await house.querySession(id, `SELECT count(*) AS count FROM ${table}`))[0]?.["count"]);

test("[RETAIN-8] an object deletes logs and left-over checkpoints when their time is over, as many as a dry run counts", async () => {
  const { id } = await make();
  await say(id, "The first");
  await say(id, "The second");
  const waiting = await house.call("/chat", { as, body: { prompt: "what is 17*23?", session_id: id } });
  const { turn_id, approval } = TurnView.parse(await waiting.json());
  // What waits for a person has not ended.
  expect(await held(0)).toMatchObject({ turn_logs: 2, checkpoints: 0 });
  expect(await countIn(id, "checkpoints")).toBe(1);
  const decisions = (approval?.calls ?? []).map(({ id: call_id }) => ({ call_id, decision: "approve" }));
  const decided = await house.call(`/chat/turns/${turn_id}/approvals`, { as, body: { decisions } });
  expect(decided.status).toBe(202);
  await expect
    .poll(async () => (await json(house.call(`/chat/turns/${turn_id}`, { as }), TurnView)).state, PATIENT)
    .toBe("complete");
  expect(await countIn(id, "checkpoints")).toBe(0);
  // As a crash might leave it.
  await house.querySession(
    id,
    `INSERT INTO checkpoints VALUES ('${turn_id}', '', '1', NULL, '{}', '[]', 'json', x'00')`,
  );
  const counted = await held(0);
  expect(counted).toMatchObject({ sessions: 1, failed: 0, turn_logs: 3, checkpoints: 1 });

  const before = house.lines.length;
  await rename(id, "Sets the alarm");
  const told = () =>
    house.lines.slice(before).filter(({ route, service }) => route === "retention" && service === "session");
  const sum = (field: string) => told().reduce((all, line) => all + Number(line[field]), 0);
  while ((await countIn(id, "events")) > 0) await house.call("/chat/health", { as });
  await expect.poll(() => [sum("turn_logs"), sum("checkpoints")], PATIENT).toEqual([3, 1]);
  expect([await countIn(id, "checkpoints"), await countIn(id, "messages"), await countIn(id, "turns")]).toEqual([
    0, 6, 3,
  ]);
  expect(await held(0)).toMatchObject({ turn_logs: 0, checkpoints: 0 });
  const stored = await countStored(house.sql, { sessionDays: 365, messageDays: 90 });
  const table = showTable({ kept: { sessionDays: 365, messageDays: 90 }, stored, held: counted });
  expect(table.split("\n").map((line) => line.split(/ {2,}/).slice(-3))).toEqual([
    ["kept", "would go", "of"],
    ["365 days after their last use", "0", "1"],
    ["with their session", "0", "6"],
    ["90 days after they were said", "0", "6"],
    ["0 s after the turn's end", "3", "sessions in use: 1"],
    ["until their turn ends", "1", "sessions in use: 1"],
  ]);
});

test("[RETAIN-9] an admin alone is told what is kept for how long, and counts by pages", async () => {
  expect((await house.call("/history/retention", { as })).status).toBe(403);
  const told = house.call("/history/retention", { as: admin });
  const { keeps, next_after } = await json(told, RetentionPage);
  expect(keeps).toEqual({ session_days: null, message_days: null, turn_log_seconds: 3 });
  expect(next_after).toBeNull();
});

test("[RETAIN-9] a session that is being erased holds nothing, and is no failure", async () => {
  const { id } = await make();
  await say(id, "Gone soon");
  await untilRows(house, 2, "select 1 from messages where session_id = $1", id);
  await house.querySession(id, "UPDATE session SET erased = 1");
  expect(await held(0)).toMatchObject({ failed: 0 });
});

test("[RETAIN-8] the command prints a line for each kind, with the deployment's ages where none is given", async () => {
  const address = { DATABASE_URL: LOCAL_DATABASE_URL, DATABASE_HTTP_URL: `${house.neon.url}/sql` };
  const env = { ...process.env, ...address, BASECHAT_KEY: admin.apiKey };
  const args = ["dev/retention.ts", "--days", "365", "--host", house.url.origin, "--dry-run"];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT, env });
  expect(stdout).toMatch(/^kind +kept +would go +of\n/);
  expect(stdout).toMatch(/\nidle sessions +365 days after their last use +0 +\d+\n/);
  expect(stdout).toMatch(/\nmessages +for ever +0 +\d+\n/);
  expect(stdout).toMatch(/\nturn logs +3 s after the turn's end +\d+ +sessions in use: \d+\n/);
  expect(stdout).toMatch(/\ncheckpoints +until their turn ends +0 +sessions in use: \d+\n/);
}, 120_000);
