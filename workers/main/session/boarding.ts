/**
 * Where turns of other sessions follow this session's newest turn, when they ask the same. State: that turn's flight and its log, until
 * the next turn is prepared. Refuses who asks for another turn, another key, or has looked at another count of purges; nobody is shown
 * what is not for everyone.
 */
import { AppError } from "../../../contracts/errors.ts";
import { encodeEvent } from "../../../contracts/events.ts";
import type { FollowTurn } from "../../../contracts/session.ts";
import type { TurnFlight } from "../chat/flight.ts";
import type { Viewable } from "./log.ts";

export class Boarding {
  #flight: TurnFlight | undefined;
  #isStarted = false;
  #log = Promise.withResolvers<Viewable | undefined>();

  /** The turn before it cannot be joined any more. */
  prepare(flight: TurnFlight | undefined): void {
    this.abandon();
    this.#flight = flight;
    this.#isStarted = false;
    this.#log = Promise.withResolvers();
  }

  start(log: Viewable): void {
    this.#isStarted = true;
    this.#log.resolve(log);
  }

  /** The turn that was prepared is not started; nothing of one that was. */
  abandon(): void {
    if (!this.#isStarted) this.#flight?.abandon();
    this.#log.resolve(undefined);
  }

  async follow({ turnId, key, since, requestId }: FollowTurn): Promise<ReadableStream<Uint8Array>> {
    const flight = this.#flight;
    const log = this.#log.promise;
    const isIt = flight?.me.turnId === turnId && flight.key === key;
    const open = isIt && (await flight.admits(since)) ? await log : undefined;
    if (flight === undefined || open === undefined) throw new AppError("conflict", "the turn is not to be followed");
    return showWhileOpen(open, flight, requestId);
  }
}

/** The frames of a log, as long as they are for everyone; then one that says so. */
function showWhileOpen(log: Viewable, flight: TurnFlight, requestId: string): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let seen = 0;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        await Promise.race([log.beyond(seen), flight.closed]);
        if (!flight.isOpen) {
          const data = {
            code: "conflict",
            message: "not for others",
            retryable: false,
            request_id: requestId,
          } as const;
          controller.enqueue(encoder.encode(encodeEvent(seen + 1, { event: "error", data })));
          return controller.close();
        }
        const frames = log.after(seen);
        seen = log.last;
        if (frames !== "") controller.enqueue(encoder.encode(frames));
        if (log.closed && log.last <= seen) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}
