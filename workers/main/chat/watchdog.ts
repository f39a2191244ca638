/**
 * Watches over the reading of a model's stream: its silences, its whole time, and whether anybody still wants it.
 * State: one timer for as long as it is read. It cancels the reader, which ends a pending read and the provider's request.
 */
import { AppError } from "../../../contracts/errors.ts";

export interface WatchOptions {
  signal: AbortSignal;
  /** Longest silence between two pieces. */
  stallTimeoutMs: number;
  /** All of it, from now on. */
  totalTimeoutMs: number;
  now: () => number;
}

export interface Watchdog {
  /** A piece has come, or is asked for from now on. */
  touch(): void;
  /** Nothing is asked for: until the next touch it is the reader that takes its time. */
  rest(): void;
  end(): void;
  /** Why the reader was cancelled, if it was. */
  stopped(): AppError | undefined;
}

/** The reply broke off: the same request, sent elsewhere, may be answered whole. */
export class BrokenReply extends AppError {}

/** One timer at a time, not one a piece. */
export function watchReader(reader: ReadableStreamDefaultReader, options: WatchOptions): Watchdog {
  const { signal, stallTimeoutMs, totalTimeoutMs, now } = options;
  const overAt = now() + totalTimeoutMs;
  let lastPieceAt = now();
  let resting = false;
  let stopped: AppError | undefined;
  let timer = setTimeout(check, Math.min(stallTimeoutMs, totalTimeoutMs));
  const stop = (error: AppError): void => {
    stopped ??= error;
    void reader.cancel().catch(() => {});
  };
  const onAbort = (): void => stop(new AppError("cancelled", "the turn was stopped"));
  function check(): void {
    const leftMs = Math.min((resting ? now() : lastPieceAt) + stallTimeoutMs, overAt) - now();
    if (leftMs > 0) timer = setTimeout(check, leftMs);
    else if (now() >= overAt) stop(new AppError("upstream_timeout", "the model's answer takes too long"));
    else stop(new BrokenReply("upstream_timeout", "the model stopped answering"));
  }
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  return {
    touch: () => {
      lastPieceAt = now();
      resting = false;
    },
    rest: () => {
      resting = true;
    },
    end: () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    },
    stopped: () => stopped,
  };
}
