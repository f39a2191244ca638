/**
 * Who makes an answer that several turns ask for at once. Pure but for its memory: the clock is an argument, and nothing of it is
 * stored, since forgetting costs a model call and no more.
 */

/** A turn, and where it runs. */
export interface Member {
  sessionId: string;
  turnId: string;
}

export type Place =
  /** `recheck`: somebody has landed just now, so the cache may hold the answer since it was asked. */
  { leads: true; recheck: boolean } | { leads: false; leader: Member };

/** So long whoever came first is taken for the leader without having said that the cache is empty. */
const TENTATIVE_MS = 5_000;
/** No answer takes longer than this. */
const LONGEST_MS = 600_000;
/** A look-up that met an empty cache may be as old as this. */
const RECENT_MS = 5_000;

export class Flight {
  #leader: (Member & { untilMs: number }) | undefined;
  #landedAtMs = Number.NEGATIVE_INFINITY;

  /** The first one leads. `not`: a leader that has gone; whoever tells it first takes its place. */
  announce({ sessionId, turnId }: Member, not: string | undefined, nowMs: number): Place {
    const leader = this.#leader;
    const stands = leader !== undefined && nowMs < leader.untilMs && ![not, turnId].includes(leader.turnId);
    if (stands) return { leads: false, leader: { sessionId: leader.sessionId, turnId: leader.turnId } };
    this.#leader = { sessionId, turnId, untilMs: nowMs + TENTATIVE_MS };
    return { leads: true, recheck: nowMs - this.#landedAtMs < RECENT_MS };
  }

  /** The leader's turn has begun to make the answer. */
  confirm(turnId: string, nowMs: number): void {
    if (this.#leader?.turnId === turnId) this.#leader.untilMs = nowMs + LONGEST_MS;
  }

  /** The answer is in the cache, or there will be none. */
  leave(turnId: string, nowMs: number): void {
    if (this.#leader?.turnId !== turnId) return;
    this.#leader = undefined;
    this.#landedAtMs = nowMs;
  }
}
