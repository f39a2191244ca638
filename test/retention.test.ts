/** Sessions whose time is over, by the platform's own schedule. State: a house that keeps sessions for 30 days. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { countStored } from "../dev/retention.ts";
import { newId } from "../contracts/ids.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

const DAY_MS = 24 * 3_600_000;
let house: House;
let as: Tenant;
beforeAll(async () => {
  house = await openHouse({ settings: { RETENTION_DAYS: "30", SESSION_REST_DAYS: "3000" } });
});
beforeEach(async () => {
  for (const standIn of [house.redis, house.neon]) standIn.control({ mode: "up" });
  await house.sql`delete from chat_sessions`;
  as = await house.newTenant();
});
afterAll(() => house.close());

const random = (length: number) => crypto.getRandomValues(new Uint8Array(length));

/** As an import leaves it: in Postgres alone. */
async function importOld(days: number): Promise<string> {
  const atMs = Date.now() - days * DAY_MS;
  const at = new Date(atMs).toISOString();
  const id = newId(atMs, random);
  await house.sql`insert into chat_sessions (id, user_id, title, created_at, updated_at) values (${id}, ${as.id}, 'old', ${at}, ${at})`;
  await house.sql`insert into messages (id, session_id, user_id, seq, role, content, created_at)
    values (${newId(atMs, random)}, ${id}, ${as.id}, 1, 'user', 'old words', ${at})`;
  return id;
}

/** A session of the API, whose rows in its object are made so many days older. */
async function sayLongAgo(days: number): Promise<string> {
  const response = await house.call("/chat", { as, body: { prompt: `Hello ${newId(Date.now(), random)}` } });
  const id = response.headers.get("x-session-id") ?? "";
  await response.text();
  await untilRows(house, 2, "select 1 from messages where session_id = $1", id);
  const ms = days * DAY_MS;
  await house.querySession(id, `UPDATE session SET created_at = created_at - ${ms}, changed_at = 0, held_at = 0`);
  await house.querySession(id, `UPDATE messages SET created_at = created_at - ${ms}`);
  await house.querySession(id, `UPDATE turns SET ended_at = ended_at - ${ms}`);
  return id;
}

async function run(): Promise<Record<string, unknown>> {
  const before = house.lines.length;
  await house.runSchedule();
  return house.lines.slice(before).find(({ route }) => route === "retention") ?? {};
}

const statusOf = async (id: string) => (await house.call(`/history/sessions/${id}`, { as })).status;

test("[RETAIN-1] a session that nobody has used for so long is deleted, in Postgres too; a younger one stays", async () => {
  const [old, young] = [await importOld(31), await importOld(29)];
  expect(await countStored(house.sql, { sessionDays: 30, messageDays: undefined })).toEqual({
    sessions: { expired: 1, of: 2, messages: 1 },
    messages: { expired: 0, of: 2 },
  });
  expect(await run()).toMatchObject({ deleted: 1, kept: 0, failed: 0 });
  expect([await statusOf(old), await statusOf(young)]).toEqual([404, 200]);
  expect(await house.sql`select session_id from messages where user_id = ${as.id}`).toEqual([{ session_id: young }]);
  expect(await run()).toMatchObject({ deleted: 0 });
});

test("[RETAIN-2] the object has the last word: what was used since, which Postgres need not know, stays", async () => {
  const used = await importOld(31);
  const body = { prompt: "Still here", session_id: used };
  expect((await house.call("/chat", { as, body })).status).toBe(200);
  await untilRows(house, 3, "select 1 from messages where session_id = $1", used);
  await house.sql`update chat_sessions set updated_at = now() - interval '31 days' where id = ${used}`;
  expect(await run()).toMatchObject({ deleted: 0, kept: 1, failed: 0 });
  expect(await statusOf(used)).toBe(200);
});

test("[RETAIN-1] a session that its object holds goes with everything of it", async () => {
  const old = await sayLongAgo(31);
  const asked = {
    kind: "erase",
    sessionId: old,
    userId: as.id,
    requestId: "r",
    unusedSinceMs: Date.now() - 30 * DAY_MS,
  } as const;
  expect(await house.commandSession(old, asked)).toMatchObject({
    status: 200,
    body: { erased: true, removed: { object: { messages: 2 } } },
  });
  expect(await statusOf(old)).toBe(404);
});

test("[RETAIN-2] a store that is away delays it, and is told", async () => {
  const old = await importOld(31);
  house.redis.control({ mode: "down" });
  expect(await run()).toMatchObject({ deleted: 0, failed: 1 });
  house.redis.control({ mode: "up" });
  house.neon.control({ mode: "down" });
  expect(await run()).toMatchObject({ error: "db_unavailable" });
  house.neon.control({ mode: "up" });
  expect(await run()).toMatchObject({ deleted: 1, failed: 0 });
  expect(await statusOf(old)).toBe(404);
});
