/**
 * Reads one model reply from a provider's bytes: text goes out as it comes, calls at the end; the decoder knows what it took.
 * Refuses a reply that stalls, is cut, or grows without end; leaving early cancels the provider's request.
 */
import type { FinishReason } from "../../../contracts/chat.ts";
import type { Decoder, MalformedToolCall } from "../../../contracts/dialects.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { ToolCall } from "../../../contracts/tools.ts";
import { BrokenReply, watchReader, type WatchOptions } from "./watchdog.ts";

export interface Reply {
  calls: (ToolCall | MalformedToolCall)[];
  finishReason: FinishReason;
}

export interface ReadOptions extends WatchOptions {
  onText(text: string): void;
  /** Text that is still taken, in UTF-16 code units. */
  maxChars: number;
}

/** Throws AppError: upstream_truncated, upstream_timeout, upstream_error, cancelled; a BrokenReply where another try may help. */
export async function readReply(
  body: ReadableStream<Uint8Array>,
  decoder: Decoder,
  options: ReadOptions,
): Promise<Reply> {
  const reader = body.getReader();
  const reply: Partial<Reply> = {};
  let leftChars = options.maxChars;
  const take = (events: ReturnType<Decoder["push"]>): void => {
    for (const event of events) {
      if (event.type === "failure") throw new BrokenReply(event.failure.code, event.failure.message, event.failure);
      if (event.type === "text") {
        leftChars -= event.text.length;
        if (leftChars < 0) throw new AppError("upstream_error", "the model's answer is too long");
        options.onText(event.text);
      } else if (event.type === "tool_calls") reply.calls = event.calls;
      else reply.finishReason = event.reason;
    }
  };
  const watch = watchReader(reader, options);
  try {
    for (;;) {
      // Cancelling the reader, on a stall or an abort, ends a pending read.
      const { done, value } = await reader.read().catch((cause: unknown) => {
        throw watch.stopped() ?? new BrokenReply("upstream_truncated", "the model's answer was cut off", { cause });
      });
      const stopped = watch.stopped();
      if (stopped) throw stopped;
      if (done) break;
      watch.touch();
      take(decoder.push(value));
      if (reply.finishReason) break;
    }
    take(decoder.end());
  } finally {
    watch.end();
    void reader.cancel().catch(() => {}); // frees the provider's connection; it may be gone already
  }
  if (reply.finishReason === undefined) throw new BrokenReply("upstream_truncated", "the model's answer was cut off");
  return { calls: reply.calls ?? [], finishReason: reply.finishReason };
}
