/** Cursors: good for the list that they were made for, and for nothing else. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { AppError } from "../../../contracts/errors.ts";
import { createCursors } from "./cursor.ts";

const SECRET = "a secret of this test alone, 32 characters";
const cursors = createCursors(SECRET);
const LIST = ["sessions", "user-1", "false"] as const;
const position = { atMs: 1_770_000_000_123, id: "01890000-0000-7000-8000-0123456789ab" };

test("[B36] a cursor leads back to its place in its list", () => {
  const cursor = cursors.write(LIST, position);
  expect(cursor).toMatch(/^[\w-]+\.[\w-]+$/);
  expect(cursors.read([...LIST], cursor ?? "")).toEqual(position);
  expect(cursors.write(LIST, undefined)).toBe(null);
  expect(cursors.read(LIST, undefined)).toBe(undefined);
});

test("[B36] the cursor of another user, list or filter is refused, and so is one of another secret", () => {
  const cursor = cursors.write(LIST, position) ?? "";
  const others = [
    ["sessions", "user-2", "false"],
    ["sessions", "user-1", "true"],
    ["search", "user-1", "false"],
    ["sessions", "user-1"],
    ["sessions", "user-1", "false", undefined],
    ["sessions,user-1", "false"],
  ];
  for (const other of others) expect(() => cursors.read(other, cursor), String(other)).toThrow(AppError);
  expect(() => createCursors(`${SECRET}!`).read(LIST, cursor)).toThrow(AppError);
});

test("[B36] an undefined filter is not an empty one", () => {
  const cursor = cursors.write(["search", undefined, "x"], position) ?? "";
  expect(() => cursors.read(["search", "", "x"], cursor)).toThrow(AppError);
  expect(cursors.read(["search", undefined, "x"], cursor)).toEqual(position);
});

test("[B36] whatever is not a cursor is refused in the same way", () => {
  const cursor = cursors.write(LIST, position) ?? "";
  const [payload = "", mac = ""] = cursor.split(".");
  const forged = [
    ...[cursor.slice(0, -1), `${cursor}A`, ` ${cursor}`, `${cursor}.`, `${payload}.`, `.${mac}`, payload, "."],
    ...[`${payload.slice(1)}.${mac}`, `${mac}.${payload}`, `${payload}.${mac.toUpperCase()}`, "é.é", "a".repeat(200)],
  ];
  for (const text of forged) expect(() => cursors.read(LIST, text), text).toThrow("the cursor is not one of this list");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      fc.pre(text !== cursor);
      expect(() => cursors.read(LIST, text)).toThrow("the cursor is not one of this list");
    }),
  );
});

test("without a secret there are no cursors", () => {
  expect(() => createCursors(undefined).write(LIST, position)).toThrow(AppError);
});
