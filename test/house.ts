/**
 * Opens a house for a test file from the bundles that the run has built once; isolated by fresh users and sessions.
 * A reply that the API's document does not describe fails the call that gets it, and the house's closing as well.
 */
import { createHash } from "node:crypto";
import { inject } from "vitest";
import { createEventDecoder, isTerminal, type NumberedEvent, standing } from "../contracts/events.ts";
import { hashOf } from "../contracts/log.ts";
import { newId } from "../contracts/ids.ts";
import { findMismatch } from "./documented.ts";
import { type House, type HouseOptions, openHouse as openFromBundles } from "../dev/house.ts";

export type { House, Tenant } from "../dev/house.ts";

interface TestHouseOptions extends Omit<HouseOptions, "bundles" | "onReply"> {
  /** A module that stands for the Worker of the tools. */
  mcpScript?: string;
}

export async function openHouse({ mcpScript, ...options }: TestHouseOptions = {}): Promise<House> {
  const mismatches: string[] = [];
  const failOn = (found: readonly string[]): void => {
    if (found.length > 0) throw new Error(`not as the API's document says:\n${found.join("\n")}`);
  };
  // Patient: that Redis answers in time is no matter of how busy this machine is.
  const settings = { CACHE_READ_TIMEOUT_MS: "5000", ...options.settings };
  const house = await openFromBundles({
    ...{ ...options, settings },
    bundles: { ...inject("bundles"), ...(mcpScript !== undefined && { "wrangler.mcp.toml": mcpScript }) },
    async onReply(exchange) {
      const mismatch = await findMismatch(exchange);
      if (mismatch === undefined) return;
      mismatches.push(mismatch);
      failOn([mismatch]);
    },
  });
  const close = house.close;
  house.close = async () => {
    await close();
    failOn(mismatches); // a test may have expected its call to fail
  };
  return house;
}

/** Reads a stream's events; with `until`, leaves as soon as it holds. */
export async function readEvents(
  response: Response,
  until: (event: NumberedEvent) => boolean = isTerminal,
): Promise<NumberedEvent[]> {
  const decoder = createEventDecoder();
  const events: NumberedEvent[] = [];
  if (response.body === null) throw new Error("no body");
  // Leaving the loop cancels the body: the viewer hangs up.
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    for (const event of decoder.push(text)) {
      events.push(event);
      if (until(event)) return events;
    }
  }
  return events;
}

/** The whole frames of a stream that breaks after so many bytes, as a client of SSE keeps them; comments do not count. */
export async function readFrames(response: Response, bytes = Number.POSITIVE_INFINITY): Promise<string[]> {
  if (response.body === null) throw new Error("no body");
  const decoder = new TextDecoder();
  let text = "";
  let left = bytes;
  for await (const piece of response.body) {
    text += decoder.decode(piece.subarray(0, left), { stream: true });
    left -= piece.length;
    if (left <= 0) break;
  }
  const frames = text.split("\n\n").slice(0, -1);
  return frames.filter((frame) => !frame.startsWith(":"));
}

/** The number of the newest event among whole frames; 0 before the first. */
export function lastIdOf(frames: string[]): number {
  return Number(/^id: (\d+)$/m.exec(frames.at(-1) ?? "")?.[1] ?? 0);
}

/** The answer that a stream's deltas make. */
export function answerOf(events: NumberedEvent[]): string {
  return standing(events)
    .flatMap((event) => (event.event === "delta" ? [event.data.content] : []))
    .join("");
}

/** What Server-Timing says of the cache besides its time. */
export function cacheReason(headers: Headers): string | null {
  return /cache;dur=\d+;desc="(\w+)"/.exec(headers.get("server-timing") ?? "")?.[1] ?? null;
}

/** A user as log lines name it. */
export function hashedUser({ id }: { id: string }): string {
  return hashOf(id, (text) => createHash("sha256").update(text).digest("hex"));
}

/** The lines that the Workers wrote for a request, in order. */
export function linesOf(house: House, requestId: string | null): Record<string, unknown>[] {
  return house.lines.filter((line) => line["request_id"] === requestId);
}

/** Waits until a query gives as many rows as expected: what is written behind a reply arrives after it. */
export async function untilRows(
  house: House,
  count: number,
  query: string,
  ...parameters: unknown[]
): Promise<Record<string, unknown>[]> {
  for (;;) {
    const seen = Number(house.neon.stats()["queries"]);
    const rows = await house.sql.query(query, parameters);
    if (rows.length >= count) return rows;
    // Our own query is one; the next one is a Worker's.
    await house.neon.until((stats) => Number(stats["queries"]) > seen + 1);
  }
}

/** A fresh UUIDv7. */
export function makeId(): string {
  return newId(Date.now(), (length) => crypto.getRandomValues(new Uint8Array(length)));
}

export interface ImportedRow {
  seq: number;
  content: string;
  /** The place of the message that it follows; left out: the one before. */
  parent?: number;
}

/** A session that no object has ever held, as an import leaves it: questions have odd numbers. */
export async function importSession(house: House, userId: string, rows: ImportedRow[]): Promise<string> {
  const sessionId = makeId();
  const ids = new Map(rows.map(({ seq }) => [seq, makeId()]));
  const said = rows.map(({ seq, content, parent = seq - 1 }) => ({
    ...{ id: ids.get(seq), seq, content, parent_id: ids.get(parent) ?? null },
    ...{ branch_from: parent === seq - 1 ? null : parent, role: seq % 2 === 1 ? "user" : "assistant" },
  }));
  await house.sql`insert into chat_sessions (id, user_id, title, model_type, model_name, updated_at)
    values (${sessionId}, ${userId}, 'Imported', 'openai', 'demo', now() - interval '1 year')`;
  await house.sql`insert into messages (id, session_id, user_id, seq, parent_id, branch_from, role, content, created_at)
    select id, ${sessionId}, ${userId}, seq, parent_id, branch_from, role, content, now() - interval '1 year'
    from jsonb_to_recordset(${JSON.stringify(said)}::jsonb) as rows
      (id uuid, seq integer, parent_id uuid, branch_from integer, role text, content text)`;
  return sessionId;
}

/** Our tables in a session's object; the runtime keeps one of its own there. */
export function tablesOf(house: House, sessionId: string): Promise<Record<string, unknown>[]> {
  return house.querySession(sessionId, "SELECT name FROM sqlite_master WHERE name NOT LIKE '%miniflare%'");
}
