/** Our own export format, read back: what is kept, what is refused, and that the same file gives the same ids. */
import { expect, test } from "vitest";
import { AppError } from "../../../contracts/errors.ts";
import { readOwnFormat } from "./own-format.ts";

const uuid = (n: number): string => `01890000-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
const ANN = uuid(1);
const AT = "2026-05-10T12:00:00.000Z";

const session = (n: number, more: Record<string, unknown> = {}) => ({
  ...{ type: "session", version: 1, id: uuid(n), title: `session ${n}`, model_type: "openai", model_name: "m" },
  ...{ is_active: true, created_at: AT, updated_at: AT },
  ...more,
});
const message = (n: number, seq: number, more: Record<string, unknown> = {}) => ({
  ...{ type: "message", id: uuid(n), seq, parent_id: null, active: true, turn_id: null, role: "user" },
  ...{ content: `message ${n}`, status: "complete", tokens_used: 3, created_at: AT },
  ...more,
});
const file = (...lines: unknown[]): string => lines.map((line) => JSON.stringify(line)).join("\n");

test("[HIST-10] sessions come with their messages, branches with what they follow", () => {
  const text = file(
    session(10, { is_active: false }),
    message(20, 3),
    message(21, 5, { parent_id: uuid(20), role: "assistant", status: "interrupted" }),
    message(22, 8, { parent_id: uuid(20), role: "assistant" }),
    session(11),
    session(12),
    message(20, 1),
  );
  const { sessions, warnings } = readOwnFormat(`${text}\n\n`, ANN);
  expect([...warnings]).toEqual([]);
  const [first, second, third] = sessions;
  expect(first?.session).toMatchObject({ title: "session 10", isActive: false, createdAtMs: Date.parse(AT) });
  expect(first?.copyOf).toBe(uuid(10));
  const [question, answer, other] = first?.messages ?? [];
  expect(first?.messages).toMatchObject([
    { seq: 1, parentId: null, role: "user", content: "message 20" },
    { seq: 2, parentId: question?.id, role: "assistant", status: "interrupted" },
    { seq: 3, parentId: question?.id, role: "assistant", status: "complete" },
  ]);
  expect(second?.messages).toEqual([]);
  const ids = [first, second, third].flatMap((one) => [one?.session.id, ...(one?.messages ?? []).map(({ id }) => id)]);
  expect(new Set(ids).size).toBe(7);
  for (const id of ids) expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  // A UUIDv7 begins with its time.
  expect(Number.parseInt(answer?.id.replace("-", "").slice(0, 12) ?? "", 16)).toBe(Date.parse(AT));
  expect(other?.id).not.toBe(answer?.id);
});

test("[HIST-10] the same file gives the same ids, another user's import others", () => {
  const text = file(session(10), message(20, 1));
  expect(readOwnFormat(text, ANN)).toEqual(readOwnFormat(text, ANN));
  const [ours, theirs] = [readOwnFormat(text, ANN), readOwnFormat(text, uuid(2))].map(({ sessions }) => sessions[0]);
  expect(ours?.session.id).not.toBe(theirs?.session.id);
  expect(ours?.messages[0]?.id).not.toBe(theirs?.messages[0]?.id);
});

test("[HIST-10] a message whose predecessor is missing follows the one before it", () => {
  const { sessions } = readOwnFormat(file(session(10), message(20, 1), message(21, 2, { parent_id: uuid(99) })), ANN);
  const [first, second] = sessions[0]?.messages ?? [];
  expect(second?.parentId).toBe(first?.id);
});

test("[B21] text that Postgres cannot take becomes storable, and is counted", () => {
  const text = file(session(10, { title: "a\0b" }), message(20, 1, { content: "half \ud800 pair" }));
  const { sessions, warnings } = readOwnFormat(text, ANN);
  expect(sessions[0]).toMatchObject({ session: { title: "a\ufffdb" }, messages: [{ content: "half \ufffd pair" }] });
  expect([...warnings]).toEqual([["texts_changed", 2]]);
});

test.each([
  ["a message before any session", [message(20, 1)], 1],
  ["another version", [session(10, { version: 2 })], 1],
  ["an unknown type", [{ type: "user" }], 1],
  ["an unknown field", [session(10, { user_id: ANN })], 1],
  ["an unknown field of a message", [session(10), message(20, 1, { user_id: ANN })], 2],
  ["a role that is none", [session(10), message(20, 1, { role: "system" })], 2],
  ["an id that is none", [session(10), message(20, 1, { id: "x" })], 2],
  ["a time that is none", [session(10, { created_at: "9999-99-99" })], 1],
  ["a time before 1970", [session(10, { created_at: "1969-12-31T23:59:59.999Z" })], 1],
  ["a place that does not rise", [session(10), message(20, 2), message(21, 2)], 3],
  ["a message twice", [session(10), message(20, 1), message(20, 2)], 3],
  ["a session twice", [session(10), session(11), session(10)], 3],
  ["a text that is too long", [session(10), message(20, 1, { content: "a".repeat(1_000_001) })], 2],
  ["no object", [session(10), 7], 2],
])("[HIST-10] %s refuses the whole file, by its line", (_name, lines, line) => {
  const caught = catchError(() => readOwnFormat(file(...lines), ANN));
  expect(caught.failure).toMatchObject({ code: "invalid_request", details: { line } });
});

test("[HIST-10] a line that is no JSON is named, and nothing of it is told", () => {
  const caught = catchError(() => readOwnFormat(`${file(session(10))}\n\n{"canary": 4711`, ANN));
  expect(caught.failure).toEqual({ code: "invalid_json", message: "line 3 is not JSON", details: { line: 3 } });
});

test("[HIST-10] an empty file holds nothing", () => {
  for (const text of ["", "\n", " \r\n \n"]) expect(readOwnFormat(text, ANN).sessions).toEqual([]);
});

function catchError(work: () => unknown): AppError {
  try {
    work();
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
