/** How long a call of a node may take, and whether anybody still wants it. State: one call, with one timer. */
import { type Refused, refused, tooSlow } from "./refusal.ts";

export type Limit = ReturnType<typeof createLimit>;

/** Aborts a call when its time is over or its caller is gone; `verdict` says which. */
export function createLimit(left: Promise<void> | undefined) {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let refusal: Refused | undefined;
  const stop = (why: Refused): void => {
    refusal ??= why;
    controller.abort();
  };
  void left?.then(() => stop(refused("cancelled", "the caller left")));
  const disarm = (): void => clearTimeout(timer);
  return {
    signal: controller.signal,
    disarm,
    stop,
    arm(ms: number): void {
      disarm();
      timer = setTimeout(() => stop(tooSlow()), ms);
    },
    verdict: () => refusal,
  };
}
