/**
 * What a completion is billed: the prompt once it is taken on, the answer as far as it was sent. State: one reply, until it is closed.
 * `billed_tokens` is all of it, `reported_tokens` that of replies whose usage the caller was sent, `unreported_calls` counts the others.
 */
import type { StandInCall } from "../serve.ts";
import type { Completion } from "./completion.ts";

export interface Bill {
  /** A piece of the answer was sent. */
  sent(piece: string): void;
  /** The usage was sent, and with it the whole answer. */
  reported(): void;
  /** Once: the reply is over, in whatever way. */
  close(): void;
}

export const BILL_COUNTERS = ["billed_tokens", "reported_tokens", "unreported_calls"];

/** Texts that were read are billed, whatever becomes of the reply. */
export function billEmbeddings(call: Pick<StandInCall, "count">, tokens: number, isReported: boolean): void {
  call.count("billed_tokens", tokens);
  if (isReported) call.count("reported_tokens", tokens);
  else call.count("unreported_calls");
}

export function openBill(call: Pick<StandInCall, "count">, completion: Completion): Bill {
  let text = "";
  let pieces = 0;
  let isReported = false;
  return {
    sent(piece) {
      text += piece;
      pieces += 1;
    },
    reported() {
      isReported = true;
    },
    close() {
      const { prompt_tokens: prompt, total_tokens: total } = completion.usage;
      if (isReported) call.count("reported_tokens", total);
      else call.count("unreported_calls");
      call.count("billed_tokens", isReported ? total : prompt + completion.count(text, pieces));
    },
  };
}
