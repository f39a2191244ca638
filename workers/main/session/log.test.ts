import { expect, test } from "vitest";
import { TurnLog, viewLog } from "./log.ts";

/** What is used of SqlStorage here: rows that are written. */
function fakeSql() {
  const rows: unknown[][] = [];
  const sql = { exec: (_query: string, ...values: unknown[]) => void rows.push(values) };
  return { rows, sql: sql as unknown as SqlStorage };
}

test("[TURN-1] the first words after each tool are saved at once, later ones in batches", () => {
  const { rows, sql } = fakeSql();
  let nowMs = 0;
  const log = new TurnLog(sql, "t", () => nowMs);
  const say = (text: string): void => {
    nowMs += 10;
    log.text(text);
  };
  say("Let me look.");
  say(" One moment.");
  expect(rows).toHaveLength(1);
  log.append({ event: "tool_result", data: { id: "1", name: "x", ok: true, content: "" } });
  log.save();
  expect(rows).toHaveLength(2);
  say("It is 4.");
  say(" Indeed.");
  expect(rows).toHaveLength(3);
  nowMs += 10_000;
  say(" Truly.");
  expect(rows).toHaveLength(4);
});

test("[TURN-1] rows stay small, however much comes at once", () => {
  const { rows, sql } = fakeSql();
  const log = new TurnLog(sql, "t", () => 0);
  const content = "x".repeat(250_000);
  for (let at = 0; at < 4; at += 1)
    log.append({ event: "tool_result", data: { id: `${at}`, name: "x", ok: true, content } });
  log.save();
  expect(rows.map((row) => String(row[2]).length).every((chars) => chars < 600_000)).toBe(true);
  expect(rows.map((row) => row[2]).join("")).toBe(log.after(0));
});

test("[F14] a viewer is pulled: what nobody reads is not built up", async () => {
  const { sql } = fakeSql();
  const log = new TurnLog(sql, "t", () => 0);
  for (let at = 0; at < 1_000; at += 1) log.append({ event: "delta", data: { content: "x" } });
  log.append({ event: "done", data: { finish_reason: "stop", message_id: "01a208da-e979-7048-8025-8d0d150d1078" } });
  const reader = viewLog(log, 998, { keepAliveMs: 1_000 }).getReader();
  const first = await reader.read();
  expect(new TextDecoder().decode(first.value)).toBe(log.after(998));
  expect((await reader.read()).done).toBe(true);
});
