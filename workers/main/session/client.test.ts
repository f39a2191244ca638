import { expect, test } from "vitest";
import { AppError } from "../../../contracts/errors.ts";
import { objectName, withResidency } from "../../../contracts/ids.ts";
import type { SessionCommand } from "../../../contracts/session.ts";
import { createSessionClient, type Sessions } from "./client.ts";

const TURN = "01a208da-e978-7048-8025-8d0d150d1078";
const COMMAND: SessionCommand = { kind: "inspect", turnId: TURN, cancel: false, userId: "u", requestId: "r" };

/** A namespace whose stubs fail with these errors, one after another, and then answer. */
function failing(...causes: object[]) {
  const errors = causes.map((cause) => Object.assign(new Error("of the runtime"), cause));
  let stubs = 0;
  const namespace = {
    idFromName: (name: string) => name,
    jurisdiction: (): never => {
      throw new Error("not of this test");
    },
    get() {
      const error = errors[stubs];
      stubs += 1;
      return { fetch: () => (error ? Promise.reject(error) : Promise.resolve(new Response("ok"))) };
    },
  };
  return { send: createSessionClient(namespace), stubs: () => stubs };
}

test("[REGION-2] an id that says EU is looked for in that jurisdiction alone; a runtime without one refuses", async () => {
  const asked: string[] = [];
  const place = (name: string, inner?: object): Sessions<string> => ({
    idFromName: (id) => `${name}:${id}`,
    jurisdiction: () => {
      if (inner === undefined) throw new Error("not implemented");
      return inner as Sessions<string>; // made below
    },
    get: (id, options) => {
      asked.push(`${id} ${options?.locationHint ?? ""}`.trim());
      return { fetch: () => Promise.resolve(new Response("ok")) };
    },
  });
  const send = createSessionClient(place("anywhere", place("eu")));
  const inEu = withResidency(TURN, "eu");
  await send(TURN, COMMAND);
  await send(TURN, COMMAND, "weur");
  await send(inEu, COMMAND, "eeur");
  expect(asked).toEqual([
    `anywhere:${objectName(TURN)}`,
    `anywhere:${objectName(TURN)} weur`,
    `eu:${objectName(TURN)} eeur`,
  ]);
  const refused: unknown = await createSessionClient(place("anywhere"))(inEu, COMMAND).catch((error: unknown) => error);
  expect(refused instanceof AppError && refused.failure.code).toBe("not_configured");
  expect(asked).toHaveLength(3);
});

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
