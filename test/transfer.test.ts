/** Sessions out as files and in again, on real Workers: what an export holds, from where it is read, and that it comes back as it was. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ErrorBody } from "../contracts/errors.ts";
import { MessagePage } from "../contracts/sessions.ts";
import { ImportReport, Line, MessageLine, SessionLine } from "../contracts/transfer.ts";
import { type House, openHouse, type Tenant, untilRows } from "./house.ts";

let house: House;
let ann: Tenant;
let bob: Tenant;
beforeAll(async () => {
  house = await openHouse();
  ann = await house.newTenant();
  bob = await house.newTenant();
  // An account that was never asked for needs Postgres.
  await chat(ann, { prompt: "Good morning" });
});
afterEach(() => house.neon.control({ mode: "up" }));
afterAll(() => house.close());

interface Reply {
  session_id: string;
  response: string;
}

async function chat(as: Tenant, body: Record<string, unknown>, path = "/chat"): Promise<Reply> {
  const response = await house.call(path, { as, body });
  expect(response.status).toBe(200);
  return response.json<Reply>();
}

const exportPath = (sessionId: string, format = "jsonl") => `/history/sessions/${sessionId}/export?format=${format}`;

async function exportText(as: Tenant, sessionId: string, format = "jsonl"): Promise<string> {
  const response = await house.call(exportPath(sessionId, format), { as });
  expect(response.status).toBe(200);
  return response.text();
}

function readLines(text: string): { session: SessionLine; messages: MessageLine[] } {
  expect(text.endsWith("\n")).toBe(true);
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => Line.parse(JSON.parse(line)));
  return { session: SessionLine.parse(lines[0]), messages: lines.slice(1).map((line) => MessageLine.parse(line)) };
}

async function importText(as: Tenant, body: string): Promise<ImportReport> {
  const headers = { "content-type": "application/x-ndjson" };
  const response = await house.call("/history/import", { as, method: "POST", body, headers });
  expect(response.status).toBe(200);
  return ImportReport.parse(await response.json());
}

/** The id of the user's newest session in Postgres. */
async function newestSession(as: Tenant): Promise<string> {
  const [row] = await house.sql`select id from chat_sessions where user_id = ${as.id} order by id desc limit 1`;
  return String(row?.["id"]);
}

test("[HIST-12] an export has what was said up to now, also while Postgres is away", async () => {
  house.neon.control({ mode: "down" });
  const { session_id, response } = await chat(ann, { prompt: "täg \u{1f600} \u202e" });
  await chat(ann, { prompt: "And then?", session_id });
  const reply = await house.call(exportPath(session_id), { as: ann });
  expect(reply.headers.get("content-type")).toBe("application/x-ndjson");
  expect(reply.headers.get("content-disposition")).toBe(`attachment; filename="basechat-${session_id}.jsonl"`);
  const { session, messages } = readLines(await reply.text());
  expect(session).toMatchObject({ type: "session", version: 1, id: session_id, model_name: "demo", is_active: true });
  expect(messages.map(({ seq, role, active }) => [seq, role, active])).toEqual([
    [1, "user", true],
    [2, "assistant", true],
    [3, "user", true],
    [4, "assistant", true],
  ]);
  expect(messages.slice(0, 2).map(({ content }) => content)).toEqual(["täg \u{1f600} \u202e", response]);
});

test("[HIST-12] JSON Lines have all branches, Markdown the one that goes on", async () => {
  const { session_id } = await chat(ann, { prompt: "First # try" });
  const listed = await house.call(`/history/sessions/${session_id}/messages`, { as: ann });
  const question = MessagePage.parse(await listed.json()).messages.find(({ role }) => role === "user");
  await chat(ann, { prompt: "Second try", message_id: question?.id }, `/chat/sessions/${session_id}/edit`);
  const { messages } = readLines(await exportText(ann, session_id));
  expect(messages.map(({ active }) => active)).toEqual([false, false, true, true]);
  expect(messages.map(({ parent_id }) => parent_id)).toEqual([null, messages[0]?.id, null, messages[2]?.id]);
  const response = await house.call(exportPath(session_id, "markdown"), { as: ann });
  expect(response.headers.get("content-type")).toBe("text/markdown; charset=utf-8");
  expect(response.headers.get("content-disposition")).toContain(`basechat-${session_id}.md`);
  const text = await response.text();
  expect(text).toMatch(/^# .+\n\n## User \(.+Z\)\n\nSecond try\n\n## Assistant \(.+Z\)\n\n.+\n$/);
  expect(text).not.toContain('asked: "First');
});

test("[HIST-12] a session outside the history has an export too", async () => {
  const { session_id } = await chat(ann, { prompt: "Off the record", store: false });
  expect(readLines(await exportText(ann, session_id)).messages).toHaveLength(2);
});

test("[HIST-12] an export that another user takes in comes out as it was, but for ids", async () => {
  const { session_id } = await chat(ann, { prompt: "Round and round" });
  const listed = await house.call(`/history/sessions/${session_id}/messages`, { as: ann });
  const [answer, question] = MessagePage.parse(await listed.json()).messages;
  await chat(ann, { message_id: answer?.id }, `/chat/sessions/${session_id}/regenerate`);
  await chat(ann, { prompt: "Another way round", message_id: question?.id }, `/chat/sessions/${session_id}/edit`);
  const exported = await exportText(ann, session_id);
  expect(await importText(bob, exported)).toEqual({
    ...{ sessions_imported: 1, messages_imported: 5, sessions_skipped: 0, warnings: [] },
  });
  const [before, after] = [exported, await exportText(bob, await newestSession(bob))].map(readLines);
  /** Ids as places, and what an import does not take over. */
  const plain = ({ session, messages }: { session: SessionLine; messages: MessageLine[] }) => ({
    session: { ...session, id: "" },
    messages: messages.map(({ id: _id, turn_id: _turn, tokens_used: _tokens, parent_id, ...rest }) => ({
      ...rest,
      parent: messages.find(({ id }) => id === parent_id)?.seq ?? null,
    })),
  });
  expect(before && after && plain(after)).toEqual(before && plain(before));
  // To its own owner it is nothing new.
  await untilRows(house, 5, "select id from messages where session_id = $1", session_id);
  expect(await importText(ann, exported)).toMatchObject({ sessions_imported: 0, sessions_skipped: 1 });
});

/** A session of ours in a file, with so many messages of so many characters. */
function longFile(messages: number, chars: number): string {
  const id = (n: number): string => `01890000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
  const created_at = "2026-01-02T03:04:05.678Z";
  const session = {
    ...{ type: "session", version: 1, id: id(0), title: "Long", model_type: null, model_name: null, is_active: true },
    ...{ created_at, updated_at: created_at },
  };
  const lines = Array.from({ length: messages }, (_, n) => ({
    ...{ type: "message", id: id(n + 1), seq: n + 1, parent_id: n === 0 ? null : id(n), active: true, turn_id: null },
    ...{ role: n % 2 === 0 ? "user" : "assistant", content: `${n} `.padEnd(chars, "x"), status: "complete" },
    ...{ tokens_used: 0, created_at },
  }));
  return [session, ...lines].map((line) => JSON.stringify(line)).join("\n");
}

test("[HIST-12] a long session comes page by page, whole and in order", async () => {
  expect(await importText(ann, longFile(1_050, 20))).toMatchObject({ messages_imported: 1_050 });
  const [row] = await house.sql`select id from chat_sessions where user_id = ${ann.id} and title = 'Long'`;
  const { session, messages } = readLines(await exportText(ann, String(row?.["id"])));
  expect(session.title).toBe("Long");
  expect(messages.map(({ seq }) => seq)).toEqual(Array.from({ length: 1_050 }, (_, n) => n + 1));
  expect(messages.every(({ content }, n) => content.startsWith(`${n} `))).toBe(true);
});

test("[HIST-12] an export that cannot go on breaks, and does not end like a whole one", async () => {
  await importText(bob, longFile(1_000, 5_000));
  const [row] = await house.sql`select id from chat_sessions where user_id = ${bob.id} and title = 'Long'`;
  const { calls } = house.neon.stats();
  const called = house.call(exportPath(String(row?.["id"])), { as: bob });
  // The session and its first page are read, and no more.
  await house.neon.until((stats) => stats.calls === calls + 2 && stats.in_flight === 0);
  house.neon.control({ mode: "err:57P01" });
  const response = await called;
  expect(response.status).toBe(200);
  await expect(response.text()).rejects.toThrow();
});

test("[B34] [B35] [B38] [B39] exports of nobody's, of another user's, in a form that is none", async () => {
  const { session_id } = await chat(bob, { prompt: "Mine alone" });
  for (const [path, status] of [
    [exportPath(session_id), 404],
    [exportPath("01890000-0000-7000-8000-000000000099"), 404],
    [exportPath("no-id"), 400],
    [exportPath(session_id, "html"), 400],
    [`${exportPath(session_id)}&limit=5`, 400],
  ] as const) {
    const response = await house.call(path, { as: ann });
    expect({ path, status: response.status }).toEqual({ path, status });
    ErrorBody.parse(await response.json());
  }
});
