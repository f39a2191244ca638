/**
 * A turn that follows: it tells the leader's events as its own while they come, and has its outcome. State: what was told, until the
 * leader ends. A leader that goes, or whose answer turns out not to be for others, is a result; what was told of it is then void.
 */
import { type Usage, usedOf } from "../../../contracts/chat.ts";
import type { ErrorCode, Failure } from "../../../contracts/errors.ts";
import { createEventDecoder, type NumberedEvent } from "../../../contracts/events.ts";
import type { ToolRound } from "../../../contracts/rounds.ts";
import type { TurnEmitter, TurnRun } from "./turn.ts";

/** What became of it. */
export interface Followed {
  content: string;
  rounds: ToolRound[];
  usage: Usage | undefined;
  end:
    | { kind: "done"; finishReason: Extract<NumberedEvent, { event: "done" }>["data"]["finish_reason"] }
    /** What went wrong would have gone wrong here too. */
    | { kind: "failed"; failure: Failure }
    /** The leader has gone: somebody else must lead. */
    | { kind: "lost" }
    /** Its answer is not for others, or does not come: each goes its own way. */
    | { kind: "alone" }
    /** The turn itself is stopped: what was told stays. */
    | { kind: "stopped" };
}

/** The same request would meet the same: another try is no use. */
const SHARED_FAILURES: ReadonlySet<ErrorCode> = new Set([
  ...([
    "model_not_found",
    "context_length_exceeded",
    "unsupported_modality",
    "invalid_request",
    "payload_too_large",
    "rate_limited",
  ] as const),
  ...(["upstream_error", "upstream_auth", "upstream_truncated", "upstream_timeout", "tool_loop_limit"] as const),
]);

/** `events`: of the leader, from its first one on. */
export async function follow(run: TurnRun, events: ReadableStream): Promise<Followed> {
  const { deps, signal } = run;
  const told = new Told(run.emit, deps.newCallId);
  const reader = events.getReader();
  const decoder = createEventDecoder();
  const text = new TextDecoder();
  try {
    for (;;) {
      const piece = await bounded(run, reader.read());
      if (piece === "late") return told.end({ kind: "alone" });
      if (signal.aborted) return told.end({ kind: "stopped" });
      if (piece?.value === undefined) return told.end({ kind: "lost" });
      for (const event of decoder.push(text.decode(piece.value as Uint8Array, { stream: true }))) {
        const end = told.take(event);
        if (end !== undefined) return told.end(end);
      }
    }
  } catch {
    // The leader's object has gone, or what comes is none of ours.
    return told.end({ kind: "lost" });
  } finally {
    void reader.cancel().catch(() => undefined);
  }
}

/** Waits so long for the leader's next piece and no longer; undefined once the turn is stopped. */
async function bounded<T>({ deps, signal }: TurnRun, work: Promise<T> | undefined): Promise<T | "late" | undefined> {
  const stopped = Promise.withResolvers<T | "late" | undefined>();
  const timer = setTimeout(() => stopped.resolve("late"), deps.joinTimeoutMs);
  const onAbort = (): void => stopped.resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([work, stopped.promise]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** What was told of a leader: its events under this turn's numbers and call ids. */
class Told {
  readonly #emit: TurnEmitter;
  readonly #newCallId: () => string;
  readonly #ids = new Map<string, string>();
  #content = "";
  #words = "";
  #rounds: ToolRound[] = [];
  #usage: Usage | undefined;
  #shown = false;
  /** How things stood after each event that was no delta, by the leader's numbers and this turn's. */
  #marks: { theirs: number; own: number; content: string; words: string; rounds: ToolRound[] }[] = [];

  constructor(emit: TurnEmitter, newCallId: () => string) {
    this.#emit = emit;
    this.#newCallId = newCallId;
  }

  /** Gives how it ended, when this event says so. */
  take(event: NumberedEvent): Followed["end"] | undefined {
    switch (event.event) {
      case "meta":
        return undefined;
      case "rewind":
        this.#rewind(event.data.after);
        return undefined;
      case "usage":
        this.#usage = usedOf(event.data);
        return undefined;
      case "done":
        return { kind: "done", finishReason: event.data.finish_reason };
      case "error":
        return endOf(event.data);
      case "approval_required":
        return { kind: "alone" };
      default:
        this.#show(event);
        return undefined;
    }
  }

  end(end: Followed["end"]): Followed {
    const followed = { content: this.#content, rounds: this.#rounds, usage: this.#usage, end };
    if (end.kind === "lost" || end.kind === "alone") this.#takeBack();
    return followed;
  }

  #show(event: Extract<NumberedEvent, { event: "intent" | "tool_call" | "tool_result" | "delta" }>): void {
    this.#shown = true;
    if (event.event === "delta") {
      this.#content += event.data.content;
      this.#words += event.data.content;
      this.#emit.text(event.data.content);
    } else if (event.event === "intent") {
      this.#emit.append({ event: "intent", data: event.data });
    } else if (event.event === "tool_call") {
      const call = { ...event.data, id: this.#idOf(event.data.id) };
      this.#roundOf(event.event).calls.push(call);
      this.#emit.append({ event: "tool_call", data: call });
    } else {
      const { id, ok, content } = event.data;
      const round = this.#roundOf(event.event);
      round.results[round.calls.findIndex((call) => call.id === this.#idOf(id))] = { ok, content };
      this.#emit.append({ event: "tool_result", data: { ...event.data, id: this.#idOf(id) } });
    }
    if (event.event !== "delta") this.#mark(event.id);
  }

  #mark(theirs: number): void {
    const rounds = structuredClone(this.#rounds);
    this.#marks.push({ theirs, own: this.#emit.last, content: this.#content, words: this.#words, rounds });
  }

  /** The leader's reply broke off and is begun again: what it had told before that reply stays. */
  #rewind(after: number): void {
    this.#marks = this.#marks.filter(({ theirs }) => theirs <= after);
    const mark = this.#marks.at(-1);
    if (mark === undefined) {
      this.#takeBack();
      return;
    }
    this.#content = mark.content;
    this.#words = mark.words;
    this.#rounds = structuredClone(mark.rounds);
    this.#usage = undefined;
    this.#emit.append({ event: "rewind", data: { after: mark.own } });
    this.#emit.save();
  }

  /** The round that a call opens or goes into, and that a result belongs to. */
  #roundOf(event: "tool_call" | "tool_result"): ToolRound {
    const last = this.#rounds.at(-1);
    if (last !== undefined && (event === "tool_result" || last.results.length === 0)) return last;
    const round: ToolRound = { content: this.#words, calls: [], results: [] };
    this.#words = "";
    this.#rounds.push(round);
    return round;
  }

  #idOf(id: string): string {
    const own = this.#ids.get(id) ?? this.#newCallId();
    this.#ids.set(id, own);
    return own;
  }

  /** Only the turn's meta event, its first, stays. */
  #takeBack(): void {
    this.#content = "";
    this.#words = "";
    this.#rounds = [];
    this.#usage = undefined;
    this.#marks = [];
    if (!this.#shown) return;
    this.#shown = false;
    this.#emit.append({ event: "rewind", data: { after: 1 } });
    // Words that come now are the first ones again.
    this.#emit.save();
  }
}

function endOf({ code, message }: { code: ErrorCode; message: string }): Followed["end"] {
  if (SHARED_FAILURES.has(code)) return { kind: "failed", failure: { code, message } };
  return { kind: code === "conflict" ? "alone" : "lost" };
}
