/**
 * The Durable Object of one cache key: where turns that ask the same at once meet, whatever Worker they came through. State: a
 * flight, in memory alone. It hands on who leads; no question, answer or token passes through it.
 */
import { DurableObject } from "cloudflare:workers";
import { Flight, type Member, type Place } from "./flight.ts";

export class FlightObject<Env = unknown> extends DurableObject<Env> {
  readonly #flight = new Flight();
  readonly #now: () => number;

  constructor(state: DurableObjectState, env: Env, now: () => number) {
    super(state, env);
    this.#now = now;
  }

  announce(member: Member, not: string | undefined): Place {
    return this.#flight.announce(member, not, this.#now());
  }

  confirm(turnId: string): void {
    this.#flight.confirm(turnId, this.#now());
  }

  leave(turnId: string): void {
    this.#flight.leave(turnId, this.#now());
  }
}
