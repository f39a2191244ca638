/**
 * A turn's part in a flight: several turns that ask the same at once share one answer while it is made. State: whether it leads, and
 * whether what it makes may be shown to the others; as long as the turn. The turn's own time is never spent on telling others.
 */
import type { Flights } from "../flights/client.ts";
import type { Member, Place } from "../flights/flight.ts";

const MYSELF: Place = { leads: true, recheck: false };

export class TurnFlight {
  readonly key: string;
  readonly me: Member;
  readonly #flights: Flights;
  readonly #place: Promise<Place>;
  readonly #leading = Promise.withResolvers<number | undefined>();
  readonly #closed = Promise.withResolvers<void>();
  #isAbandoned = false;
  #held: ReadableStream | undefined;
  #isOpen = true;
  #isBoarding = true;

  /** Announces the turn; nobody waits for that yet. */
  constructor(flights: Flights, key: string, me: Member) {
    this.#flights = flights;
    this.key = key;
    this.me = me;
    this.#place = flights.announce(key, me);
  }

  /** The events of a turn that leads; undefined when it does not, or not since this count of purges. */
  follow(
    leader: Member,
    { since, requestId, timeoutMs }: { since: number; requestId: string; timeoutMs: number },
  ): Promise<ReadableStream | "late" | undefined> {
    const events = this.#flights.follow(leader, { key: this.key, since, requestId });
    return within(timeoutMs, events, "late" as const);
  }

  /** Events that this turn is about to follow: they are let go if it is never started. */
  hold(events: ReadableStream | undefined): void {
    this.#held = events;
    if (this.#isAbandoned) void events?.cancel().catch(() => undefined);
  }

  /** The turn is never started. */
  abandon(): void {
    this.#isAbandoned = true;
    this.standAside();
    this.hold(this.#held);
  }

  /** Who leads; the turn itself when nobody says so in time. */
  place(timeoutMs: number): Promise<Place> {
    return within(timeoutMs, this.#place, MYSELF);
  }

  /** The place after a leader that has gone. */
  placeAfter(leader: Member, timeoutMs: number): Promise<Place> {
    return within(timeoutMs, this.#flights.announce(this.key, this.me, leader.turnId), MYSELF);
  }

  /** This turn makes the answer. `since`: the count of purges when it looked; who looked at another count does not share it. */
  lead(since: number): void {
    this.#leading.resolve(since);
    void this.#flights.confirm(this.key, this.me.turnId);
  }

  /** This turn does not make an answer for others: it found one, is refused, or goes its own way. */
  standAside(): void {
    this.#leading.resolve(undefined);
  }

  /** What comes from here on is not for others. */
  close(): void {
    this.#isOpen = false;
    this.#closed.resolve();
  }

  /** The turn has ended with what is not to be had again: those who are there have seen it, nobody joins any more. */
  shut(): void {
    this.#isBoarding = false;
  }

  /** The answer is in the cache, or there will be none. */
  async land(): Promise<void> {
    this.standAside();
    if ((await this.#leading.promise) !== undefined) await this.#flights.leave(this.key, this.me.turnId);
  }

  /** Settles once it is known whether whoever looked at this count of purges may follow. */
  async admits(since: number): Promise<boolean> {
    return (await this.#leading.promise) === since && this.#isOpen && this.#isBoarding;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get closed(): Promise<void> {
    return this.#closed.promise;
  }
}

async function within<T, L>(timeoutMs: number, work: Promise<T>, otherwise: L): Promise<T | L> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<L>((resolve) => {
    timer = setTimeout(() => resolve(otherwise), timeoutMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
