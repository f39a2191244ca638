/**
 * The numbered event log of one turn. Events live in memory while the turn runs and in the object's SQLite in batches;
 * every connection, the first one too, is a viewer that reads from it. Numbers rise by one from 1.
 */
import type { Usage } from "../../../contracts/chat.ts";
import { type ChatEvent, encodeEvent, isTerminal, KEEP_ALIVE_FRAME } from "../../../contracts/events.ts";

/** Text arriving within this time of the last delta joins the next one; the first of a burst is sent at once. */
const DELTA_WINDOW_MS = 8;
/** The first batch is written after this time; each later one after twice the time of the one before it. */
const FIRST_SAVE_MS = 1_000;
const LONGEST_SAVE_MS = 8_000;
/** A batch is written early at this size: a row holds 2 MB at most. */
const SAVE_CHARS = 64 * 1024;
/** A row holds 2 MB; a character takes three bytes at most. */
const MAX_ROW_CHARS = 512 * 1024;

export interface Viewable {
  /** The number of the newest event. */
  readonly last: number;
  /** True once the terminal event is in. */
  readonly closed: boolean;
  /** Resolves when there is an event after `id`, or the log is closed. */
  beyond(id: number): Promise<void>;
  /** The encoded frames after event `id`. */
  after(id: number): string;
}

export class TurnLog implements Viewable {
  readonly #sql: SqlStorage;
  readonly #turnId: string;
  readonly #now: () => number;
  readonly #frames: string[];
  #waiting: (() => void)[] = [];
  #closed = false;
  #pendingText = "";
  #windowTimer: ReturnType<typeof setTimeout> | undefined;
  #lastDeltaAt = Number.NEGATIVE_INFINITY;
  #saved: number;
  #tookText = false;
  #unsavedChars = 0;
  #savedAt: number;
  #saveEveryMs = FIRST_SAVE_MS;
  /** What the turn has taken so far; asked when something is written, and written beside it. */
  spent: () => Usage | undefined = () => undefined;
  /** When the first words of the answer came, in this life of the turn. */
  firstTextAtMs: number | undefined;

  /** `saved`: the frames that an earlier life of the turn has written. */
  constructor(sql: SqlStorage, turnId: string, now: () => number, saved: string[] = []) {
    this.#sql = sql;
    this.#turnId = turnId;
    this.#now = now;
    this.#frames = saved;
    this.#saved = saved.length;
    this.#savedAt = now();
  }

  /** Appends an event; pending text goes before it. */
  append(event: ChatEvent): void {
    this.#flushText();
    this.#push(event);
  }

  /** Appends text as `delta` events: at once, unless one went out less than 8 ms ago. */
  text(text: string): void {
    this.#pendingText += text;
    const waitMs = this.#lastDeltaAt + DELTA_WINDOW_MS - this.#now();
    if (waitMs <= 0) this.#flushText();
    else this.#windowTimer ??= setTimeout(() => this.#flushText(), waitMs);
  }

  /** Writes what is not yet in SQLite, as one row. Inside a transaction it is one with the other rows. */
  save(): void {
    this.#flushText();
    this.#save();
    // What is said after a tool is the answer, or begins another part of it: its first words count again.
    this.#tookText = false;
  }

  get last(): number {
    return this.#frames.length;
  }

  get closed(): boolean {
    return this.#closed;
  }

  beyond(id: number): Promise<void> {
    if (this.#closed || this.#frames.length > id) return Promise.resolve();
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  after(id: number): string {
    return this.#frames.slice(id).join("");
  }

  #push(event: ChatEvent): void {
    if (this.#closed) return;
    if (event.event === "delta") this.firstTextAtMs ??= this.#now();
    const frame = encodeEvent(this.#frames.length + 1, event);
    this.#frames.push(frame);
    this.#unsavedChars += frame.length;
    this.#closed = isTerminal(event);
    for (const wake of this.#waiting.splice(0)) wake();
    if (this.#unsavedChars >= SAVE_CHARS || this.#now() - this.#savedAt >= this.#saveEveryMs) this.#save();
  }

  #flushText(): void {
    if (this.#windowTimer !== undefined) clearTimeout(this.#windowTimer);
    this.#windowTimer = undefined;
    if (this.#pendingText === "") return;
    const content = this.#pendingText;
    this.#pendingText = "";
    this.#lastDeltaAt = this.#now();
    this.#push({ event: "delta", data: { content } });
    // From here on the turn cannot simply be run again: a restart must find that words were shown.
    if (!this.#tookText) this.#save();
    this.#tookText = true;
  }

  #save(): void {
    if (this.#saved === this.#frames.length) return;
    const batch = { firstId: this.#saved + 1, frames: this.#frames.slice(this.#saved), spent: this.spent() };
    writeFrames(this.#sql, this.#turnId, batch);
    this.#saved = this.#frames.length;
    this.#unsavedChars = 0;
    this.#savedAt = this.#now();
    this.#saveEveryMs = Math.min(this.#saveEveryMs * 2, LONGEST_SAVE_MS);
  }
}

interface Batch {
  /** Of the events that the frames tell. */
  firstId: number;
  frames: string[];
  /** Until the last of them. */
  spent?: Usage | undefined;
}

/** One row, or several where the frames are large. */
export function writeFrames(sql: SqlStorage, turnId: string, { firstId, frames, spent }: Batch): void {
  const told = spent === undefined ? null : JSON.stringify(spent);
  let at = 0;
  while (at < frames.length) {
    let end = at + 1;
    let chars = frames[at]?.length ?? 0;
    while (end < frames.length && chars + (frames[end]?.length ?? 0) <= MAX_ROW_CHARS) {
      chars += frames[end]?.length ?? 0;
      end += 1;
    }
    const row = frames.slice(at, end).join("");
    const id = firstId + at;
    sql.exec("INSERT INTO events (turn_id, first_id, frames, spent) VALUES (?, ?, ?, ?)", turnId, id, row, told);
    at = end;
  }
}

/** The frames of a turn's log as they stand in SQLite, in order. */
export function readFrames(sql: SqlStorage, turnId: string): string[] {
  const rows = sql
    .exec<{ first_id: number; frames: string }>(
      "SELECT first_id, frames FROM events WHERE turn_id = ? ORDER BY first_id",
      turnId,
    )
    .toArray();
  return rows.flatMap((row) => row.frames.split(/(?<=\n\n)/));
}

/** False once the alarm has deleted the turn's log. */
export function isSaved(sql: SqlStorage, turnId: string): boolean {
  return sql.exec("SELECT 1 FROM events WHERE turn_id = ? LIMIT 1", turnId).toArray().length > 0;
}

/** What a turn had taken when its log was last written; undefined: nothing. */
export function readSpent(sql: SqlStorage, turnId: string): Usage | undefined {
  const query = "SELECT spent FROM events WHERE turn_id = ? ORDER BY first_id DESC LIMIT 1";
  const spent = sql.exec<{ spent: string | null }>(query, turnId).toArray()[0]?.spent ?? undefined;
  return spent === undefined ? undefined : (JSON.parse(spent) as Usage); // written by writeFrames
}

/** A finished turn's log, for viewers. */
export function openSavedLog(sql: SqlStorage, turnId: string): Viewable {
  const frames = readFrames(sql, turnId);
  return {
    last: frames.length,
    closed: true,
    beyond: () => Promise.resolve(),
    after: (id) => frames.slice(id).join(""),
  };
}

export interface ViewOptions {
  keepAliveMs: number;
  /** Ends the view from outside. */
  signal?: AbortSignal;
  /** The viewer has seen all, has left or was sent away. */
  onEnd?: () => void;
}

/**
 * A viewer: the log's frames after event `after` as a byte stream, with a comment after each beat of `keepAliveMs` in which nothing came, unless
 * the last one is still unread. It is pulled, so a slow reader holds nothing but its place, and its leaving does not touch the turn.
 */
export function viewLog(
  log: Viewable,
  after: number,
  { keepAliveMs, signal, onEnd }: ViewOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let seen = after;
  let left = false;
  let beat: ReturnType<typeof setInterval> | undefined;
  const leave = (): void => {
    left = true;
    clearInterval(beat);
    onEnd?.();
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        signal?.addEventListener("abort", () => {
          if (left) return;
          leave();
          controller.close();
        });
        let seenBefore = seen;
        beat = setInterval(() => {
          if (seen === seenBefore && controller.desiredSize === 0) controller.enqueue(encoder.encode(KEEP_ALIVE_FRAME));
          seenBefore = seen;
        }, keepAliveMs);
      },
      async pull(controller) {
        await log.beyond(seen);
        if (left) return;
        if (log.last > seen) {
          const frames = log.after(seen);
          seen = log.last;
          controller.enqueue(encoder.encode(frames));
        }
        if (log.closed && log.last <= seen) {
          leave();
          controller.close();
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}
