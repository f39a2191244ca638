/**
 * The events of a session's streams as the protocol's transport keeps them, over the session's SQLite. An event's id is its number.
 * Refuses numbers that are not, or no more, known: the client cannot be given the rest without a gap.
 */
import type { EventStore } from "../protocol/session.ts";
import { addEvent, eventsAfter, streamOf } from "./storage.ts";

export interface SessionEvents extends EventStore {
  /** While true nothing is kept: the session is telling itself what it knows already. */
  muted: boolean;
}

export function createEvents(sql: SqlStorage): SessionEvents {
  const find = (eventId: string) => (/^\d{1,15}$/.test(eventId) ? streamOf(sql, Number(eventId)) : undefined);
  return {
    muted: false,
    async storeEvent(stream, message) {
      return this.muted ? "0" : String(addEvent(sql, stream, JSON.stringify(message)));
    },
    getStreamIdForEventId: async (eventId) => find(eventId),
    async replayEventsAfter(lastEventId, { send }) {
      const stream = find(lastEventId);
      if (stream === undefined) throw new Error("an event is looked for before its stream is replayed");
      for (const { seq, message } of eventsAfter(sql, stream, Number(lastEventId))) {
        if (message !== "{}") await send(String(seq), read(message));
      }
      return stream;
    },
  };
}

/** The rest of a stream whose call has its result: there is nothing to wait for. Undefined for any other stream. */
export function readFinished(sql: SqlStorage, lastEventId: string): string | undefined {
  const seq = /^\d{1,15}$/.test(lastEventId) ? Number(lastEventId) : Number.NaN;
  const stream = Number.isNaN(seq) ? undefined : streamOf(sql, seq);
  if (stream === undefined) return undefined;
  const rest = eventsAfter(sql, stream, seq - 1);
  if (!rest.some(({ message }) => isResult(read(message)))) return undefined;
  return rest
    .filter((event) => event.seq > seq && event.message !== "{}")
    .map((event) => `event: message\nid: ${event.seq}\ndata: ${event.message}\n\n`)
    .join("");
}

type Message = Parameters<EventStore["storeEvent"]>[1];

function read(message: string): Message {
  return JSON.parse(message) as Message; // as it was stored
}

function isResult(message: Message): boolean {
  return "id" in message && !("method" in message);
}
