/**
 * The way to a session's object: one request, and once more on a new stub when the runtime says that this may help.
 * An object knows a request that it has seen, so the same one may be sent twice. No state. An id that says EU is looked for there alone.
 */
import { AppError } from "../../../contracts/errors.ts";
import { objectName, residencyOf } from "../../../contracts/ids.ts";
import type { SessionCommand } from "../../../contracts/session.ts";
import { nextTask } from "../../../contracts/tasks.ts";
import { type Ahead, withAhead } from "./ahead.ts";

const RETRY_AFTER_SECONDS = 2;

/** What is used of a Durable Object namespace. */
export interface Sessions<Id> {
  idFromName(name: string): Id;
  jurisdiction(name: "eu"): Sessions<Id>;
  get(
    id: Id,
    options?: { locationHint?: DurableObjectLocationHint },
  ): { fetch(url: string, init: RequestInit): Promise<Response> };
}

export function createSessionClient<Id>(sessions: Sessions<Id>) {
  /** `near` counts for an object that is not there yet. `ahead`: what comes behind the command. */
  return async function send(
    sessionOrTurnId: string,
    command: SessionCommand,
    near?: DurableObjectLocationHint,
    ahead?: Promise<Ahead>,
  ): Promise<Response> {
    const body = JSON.stringify(command);
    const objects = residencyOf(sessionOrTurnId) === "eu" ? inEurope(sessions) : sessions;
    const options = near === undefined ? undefined : { locationHint: near };
    for (let attempt = 1; ; attempt += 1) {
      // A stub that has failed stays broken: each attempt has its own.
      const stub = objects.get(objects.idFromName(objectName(sessionOrTurnId)), options);
      try {
        // Starting an object would hold up what is asked beside it.
        if (ahead !== undefined) await nextTask();
        const sent = ahead !== undefined && attempt === 1 ? withAhead(body, ahead) : { body };
        const response = await stub.fetch("https://session.internal/", { method: "POST", ...sent });
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

/** Rather nowhere than elsewhere: a runtime that has no jurisdictions refuses. */
export function inEurope<N extends { jurisdiction(name: "eu"): N }>(objects: N): N {
  try {
    return objects.jurisdiction("eu");
  } catch (cause) {
    throw new AppError("not_configured", "this runtime cannot keep an object in the EU", { cause });
  }
}
