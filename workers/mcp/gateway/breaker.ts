/**
 * Which remote servers are not asked for a while, because they failed three times in a row. State: counts by server, bounded plain data of an
 * isolate. A server that is asked again and fails once more is left alone at once.
 */
const FAILURES = 3;
const PAUSE_MS = 30_000;
const MAX_KEPT = 100;

export interface Breaker {
  isOpen(server: string): boolean;
  note(server: string, succeeded: boolean): void;
}

export function createBreaker(now: () => number): Breaker {
  const failing = new Map<string, { failures: number; untilMs: number }>();
  return {
    isOpen: (server) => (failing.get(server)?.untilMs ?? 0) > now(),
    note(server, succeeded) {
      if (succeeded) {
        failing.delete(server);
        return;
      }
      const failures = (failing.get(server)?.failures ?? 0) + 1;
      if (failing.size >= MAX_KEPT && !failing.has(server)) failing.clear();
      failing.set(server, { failures, untilMs: failures >= FAILURES ? now() + PAUSE_MS : 0 });
    },
  };
}
