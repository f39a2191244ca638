/**
 * The numbered event log of one turn. Events live in memory while the turn runs and in the object's SQLite in batches;
 * every connection, the first one too, is a viewer that reads from it. Numbers rise by one from 1.
 */
import { type ChatEvent, encodeEvent, isTerminal, KEEP_ALIVE_FRAME } from "../../../contracts/events.ts";

/** Text arriving within this time of the last delta joins the next one; the first of a burst is sent at once. */
const DELTA_WINDOW_MS = 8;
/** The first batch is written after this time; each later one after twice the time of the one before it. */
const FIRST_SAVE_MS = 1_000;
const LONGEST_SAVE_MS = 8_000;
/** A batch is written early at this size: a row holds 2 MB at most. */
const SAVE_CHARS = 64 * 1024;

export interface TurnLog {
  /** Appends an event; pending text goes before it. */
  append(event: ChatEvent): void;
  /** Appends text as `delta` events: at once, unless one went out less than 8 ms ago. */
  text(text: string): void;
  /** Writes what is not yet in SQLite. Call it inside a transaction to make it one with other rows. */
  save(): void;
  /** The number of the newest event. */
  readonly last: number;
  /** True once the terminal event is in. */
  readonly closed: boolean;
  /** Resolves when there is an event after `id`, or the log is closed, or `timeoutMs` is over. */
  beyond(id: number, timeoutMs: number): Promise<void>;
  /** The encoded frames after event `id`. */
  after(id: number): string;
}

export function createTurnLog(sql: SqlStorage, turnId: string, now: () => number): TurnLog {
  const frames: string[] = [];
  const waiting = new Set<() => void>();
  let closed = false;
  let pendingText = "";
  let windowTimer: ReturnType<typeof setTimeout> | undefined;
  let lastDeltaAt = Number.NEGATIVE_INFINITY;
  let saved = 0;
  let unsavedChars = 0;
  let savedAt = now();
  let saveEveryMs = FIRST_SAVE_MS;

  function push(event: ChatEvent): void {
    if (closed) return;
    const frame = encodeEvent(frames.length + 1, event);
    frames.push(frame);
    unsavedChars += frame.length;
    closed = isTerminal(event);
    for (const wake of waiting) wake();
    waiting.clear();
    if (unsavedChars >= SAVE_CHARS || now() - savedAt >= saveEveryMs) save();
  }

  function flushText(): void {
    clearTimeout(windowTimer);
    windowTimer = undefined;
    if (pendingText === "") return;
    const content = pendingText;
    pendingText = "";
    lastDeltaAt = now();
    push({ event: "delta", data: { content } });
  }

  function save(): void {
    if (saved === frames.length) return;
    sql.exec(
      "INSERT INTO events (turn_id, first_id, frames) VALUES (?, ?, ?)",
      turnId,
      saved + 1,
      frames.slice(saved).join(""),
    );
    saved = frames.length;
    unsavedChars = 0;
    savedAt = now();
    saveEveryMs = Math.min(saveEveryMs * 2, LONGEST_SAVE_MS);
  }

  return {
    append(event) {
      flushText();
      push(event);
    },
    text(text) {
      pendingText += text;
      const wait = lastDeltaAt + DELTA_WINDOW_MS - now();
      if (wait <= 0) flushText();
      else windowTimer ??= setTimeout(flushText, wait);
    },
    save() {
      flushText();
      save();
    },
    get last() {
      return frames.length;
    },
    get closed() {
      return closed;
    },
    beyond(id, timeoutMs) {
      if (closed || frames.length > id) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(wake, timeoutMs);
        function wake(): void {
          clearTimeout(timer);
          waiting.delete(wake);
          resolve();
        }
        waiting.add(wake);
      });
    },
    after: (id) => frames.slice(id).join(""),
  };
}

/** A finished turn's log as it stands in SQLite. */
export function readSavedLog(sql: SqlStorage, turnId: string): { last: number; after(id: number): string } {
  const rows = sql
    .exec<{ first_id: number; frames: string }>(
      "SELECT first_id, frames FROM events WHERE turn_id = ? ORDER BY first_id",
      turnId,
    )
    .toArray();
  const frames = rows.flatMap((row) => row.frames.split(/(?<=\n\n)/));
  return { last: frames.length, after: (id) => frames.slice(id).join("") };
}

export interface Viewable {
  readonly last: number;
  readonly closed: boolean;
  beyond(id: number, timeoutMs: number): Promise<void>;
  after(id: number): string;
}

/**
 * A viewer: the log's frames after event `after` as a byte stream, with a comment after each `keepAliveMs` of silence.
 * It is pulled, so a slow reader holds nothing but its place, and its leaving does not touch the turn.
 */
export function viewLog(log: Viewable, after: number, keepAliveMs: number): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let seen = after;
  let left = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        await log.beyond(seen, keepAliveMs);
        if (left) return;
        if (log.last > seen) {
          const frames = log.after(seen);
          seen = log.last;
          controller.enqueue(encoder.encode(frames));
        } else if (!log.closed) {
          controller.enqueue(encoder.encode(KEEP_ALIVE_FRAME));
        }
        if (log.closed && log.last <= seen) controller.close();
      },
      cancel() {
        left = true;
      },
    },
    { highWaterMark: 0 },
  );
}
