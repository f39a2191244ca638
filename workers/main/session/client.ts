/**
 * The way to a session's object: one request, and once more on a new stub when the runtime says that this may help.
 * An object knows a request that it has seen, so the same one may be sent twice. No state.
 */
import { AppError } from "../../../contracts/errors.ts";
import { objectName } from "../../../contracts/ids.ts";
import type { SessionCommand } from "../../../contracts/session.ts";

const RETRY_AFTER_SECONDS = 2;

/** What is used of a Durable Object namespace. */
export interface Sessions<Id> {
  idFromName(name: string): Id;
  get(id: Id): { fetch(url: string, init: RequestInit): Promise<Response> };
}

export function createSessionClient<Id>(sessions: Sessions<Id>) {
  return async function send(sessionOrTurnId: string, command: SessionCommand): Promise<Response> {
    const body = JSON.stringify(command);
    for (let attempt = 1; ; attempt += 1) {
      // A stub that has failed stays broken: each attempt has its own.
      const stub = sessions.get(sessions.idFromName(objectName(sessionOrTurnId)));
      try {
        const response = await stub.fetch("https://session.internal/", { method: "POST", body });
        // A fetched reply's headers are read-only; the body passes as it is.
        return new Response(response.body, response);
      } catch (cause) {
        const { overloaded, retryable } = cause as { overloaded?: boolean; retryable?: boolean }; // of the runtime's errors
        if (overloaded || !retryable || attempt > 1) {
          const more = { retryAfterSeconds: RETRY_AFTER_SECONDS, cause };
          throw new AppError("overloaded", "the session cannot be reached now", more);
        }
      }
    }
  };
}
