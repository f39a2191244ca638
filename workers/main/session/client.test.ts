import { expect, test } from "vitest";
import { AppError } from "../../../contracts/errors.ts";
import type { SessionCommand } from "../../../contracts/session.ts";
import { createSessionClient } from "./client.ts";

const TURN = "01a208da-e978-7048-8025-8d0d150d1078";
const COMMAND: SessionCommand = { kind: "inspect", turnId: TURN, cancel: false, userId: "u", requestId: "r" };

/** A namespace whose stubs fail with these errors, one after another, and then answer. */
function failing(...causes: object[]) {
  const errors = causes.map((cause) => Object.assign(new Error("of the runtime"), cause));
  let stubs = 0;
  const namespace = {
    idFromName: (name: string) => name,
    get() {
      const error = errors[stubs];
      stubs += 1;
      return { fetch: () => (error ? Promise.reject(error) : Promise.resolve(new Response("ok"))) };
    },
  };
  return { send: createSessionClient(namespace), stubs: () => stubs };
}

test("[F18] an object that was reset is asked once more, on a new stub", async () => {
  const { send, stubs } = failing({ retryable: true, durableObjectReset: true });
  expect(await (await send(TURN, COMMAND)).text()).toBe("ok");
  expect(stubs()).toBe(2);
});

test("[F18] an overloaded object, one that fails twice and one with a bug are 503 with Retry-After", async () => {
  for (const errors of [[{ overloaded: true, retryable: true }], [{ retryable: true }, { retryable: true }], [{}]]) {
    const { send, stubs } = failing(...errors);
    const thrown: unknown = await send(TURN, COMMAND).catch((error: unknown) => error);
    expect(thrown instanceof AppError && thrown.failure).toMatchObject({ code: "overloaded", retryAfterSeconds: 2 });
    expect(stubs()).toBe(errors.length);
  }
});
