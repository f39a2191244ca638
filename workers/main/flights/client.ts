/**
 * The way to the flights' objects, and to the session of a leader. No state. Nothing here fails: without an answer a turn leads, which
 * costs a model call at most.
 */
import type { SessionCommand } from "../../../contracts/session.ts";
import type { Member, Place } from "./flight.ts";

/** What a flight's object answers by RPC. */
export interface FlightStub {
  announce(member: Member, not: string | undefined): Promise<Place>;
  confirm(turnId: string): Promise<void>;
  leave(turnId: string): Promise<void>;
}

export interface Flights {
  /** The request leaves before this returns. */
  announce(key: string, member: Member, not?: string): Promise<Place>;
  confirm(key: string, turnId: string): Promise<void>;
  leave(key: string, turnId: string): Promise<void>;
  /** The leader's events from the first on; undefined when it does not lead, or not since the same count of purges. */
  follow(leader: Member, ask: { key: string; since: number; requestId: string }): Promise<ReadableStream | undefined>;
}

export function createFlights(
  find: (key: string) => FlightStub,
  send: (sessionId: string, command: SessionCommand) => Promise<Response>,
): Flights {
  const done = (told: Promise<void>): Promise<void> => told.catch(() => undefined);
  return {
    announce: (key, member, not) =>
      find(key)
        .announce(member, not)
        .catch(() => ({ leads: true, recheck: false })),
    confirm: (key, turnId) => done(find(key).confirm(turnId)),
    leave: (key, turnId) => done(find(key).leave(turnId)),
    async follow({ sessionId, turnId }, ask) {
      const response = await send(sessionId, { kind: "follow", turnId, ...ask }).catch(() => undefined);
      if (response?.ok && response.body) return response.body;
      await response?.body?.cancel();
      return undefined;
    },
  };
}
