/**
 * The figures of a stand-in: calls, calls in flight, clients that left, its own counters and the last request body.
 * State lives in the closure, from the start of the server; nothing resets it.
 */
export interface Stats {
  calls: number;
  in_flight: number;
  /** Clients that left before the reply ended. */
  aborted: number;
  /** The last request's body: parsed where it is JSON, else its text; null before the first. */
  last_request: unknown;
  /** Own counters of a stand-in (`commands`, `queries`, `chunks_sent`), each a number. */
  [counter: string]: unknown;
}

export interface Meter {
  started(): void;
  seen(body: Buffer): void;
  ended(clientLeft: boolean): void;
  count(counter: string, by?: number): void;
  stats(): Stats;
  until(check: (stats: Stats) => boolean): Promise<Stats>;
}

export function createMeter(counters: readonly string[]): Meter {
  const own: Record<string, number> = Object.fromEntries(counters.map((name) => [name, 0]));
  const waiting = new Set<() => void>();
  let calls = 0;
  let inFlight = 0;
  let aborted = 0;
  let lastBody: Buffer | undefined;

  const changed = (): void => {
    for (const recheck of [...waiting]) recheck();
  };
  const stats = (): Stats => ({ calls, in_flight: inFlight, aborted, ...own, last_request: readBody(lastBody) });

  return {
    started: () => {
      calls += 1;
      inFlight += 1;
      changed();
    },
    seen: (body) => {
      lastBody = body;
      changed();
    },
    ended: (clientLeft) => {
      inFlight -= 1;
      if (clientLeft) aborted += 1;
      changed();
    },
    count: (counter, by = 1) => {
      own[counter] = (own[counter] ?? 0) + by;
      changed();
    },
    stats,
    until: (check) =>
      new Promise((resolve, reject) => {
        const recheck = (): void => {
          try {
            const now = stats();
            if (!check(now)) return;
            waiting.delete(recheck);
            resolve(now);
          } catch (error) {
            waiting.delete(recheck);
            reject(error);
          }
        };
        waiting.add(recheck);
        recheck();
      }),
  };
}

/** Parsed when somebody asks, not per request: bodies can be large and calls many. */
function readBody(body: Buffer | undefined): unknown {
  if (body === undefined) return null;
  const text = body.toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
