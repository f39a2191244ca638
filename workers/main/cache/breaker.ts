/**
 * A breaker around the cache store: after two reads in a row that failed, nobody waits for Redis any more until it answers again.
 * State: two numbers, shared by an isolate. Asking whether it answers is done behind a turn, never on a turn's time.
 */
import { fail } from "../../../contracts/errors.ts";
import type { RedisStore } from "./redis.ts";

/** One may be chance. */
const FAILURES_TO_OPEN = 2;
/** While it is open Redis is asked this often, if there are turns at all. */
const PROBE_EVERY_MS = 1_000;

export interface BreakerState {
  failures: number;
  nextProbeMs: number;
}

/** Of an isolate: plain data, so it may outlive a request. */
const isolateState: BreakerState = { failures: 0, nextProbeMs: 0 };

export interface BreakerOptions {
  now: () => number;
  state?: BreakerState;
  /** Told after each answer, and each that did not come. */
  onState?(isOpen: boolean): void;
}

export function withBreaker(store: RedisStore, { now, state = isolateState, onState }: BreakerOptions): RedisStore {
  const note = (answered: boolean): void => {
    state.failures = answered ? 0 : state.failures + 1;
    if (!answered) state.nextProbeMs = now() + PROBE_EVERY_MS;
    onState?.(state.failures >= FAILURES_TO_OPEN);
  };

  /** True while nobody may wait; then somebody asks behind it whether that is over. */
  function isOpen(): boolean {
    if (state.failures < FAILURES_TO_OPEN) return false;
    if (now() >= state.nextProbeMs) {
      state.nextProbeMs = now() + PROBE_EVERY_MS;
      void store.ping().then((pong) => note(pong.ok));
    }
    return true;
  }

  const away = () => Promise.resolve(fail("upstream_error", "the cache store is away"));
  return {
    async getMany(keys) {
      if (isOpen()) return away();
      const values = await store.getMany(keys);
      note(values.ok);
      return values;
    },
    /** Nobody waits for a script, and one may be refused by a Redis that can be read: it says nothing of reads. */
    run: (script, args, timeoutMs) => (isOpen() ? away() : store.run(script, args, timeoutMs)),
    ping: () => store.ping(),
  };
}
