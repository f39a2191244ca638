/** From a request's `cf` to the place that a session's object is asked for: the routes as main serves them, with a fake of the sessions. */
import { Hono } from "hono";
import { expect, test } from "vitest";
import { StageClock } from "../../../contracts/timing.ts";
import { SCOPES } from "../../../contracts/users.ts";
import type { Authenticate } from "../http/auth.ts";
import type { AppContext } from "../http/context.ts";
import { serveRoutes } from "../http/serve.ts";
import { chatUiRoutes } from "./chat-ui.ts";
import { chatRoutes } from "./chat.ts";
import { sessionRoutes } from "./sessions.ts";
import type { StartDeps } from "./start-turn.ts";

const ID = "01a208da-e978-7048-8025-8d0d150d1078";
const USER = "01a208da-e900-7048-8025-8d0d150d1078";
const never = () => Promise.reject(new Error("not asked for"));
const authenticate: Authenticate = () =>
  Promise.resolve({
    ...{ id: USER, role: "user", scopes: [...SCOPES], preferences: {} },
    credential: { kind: "key", userId: USER, keyId: ID, secret: "s" },
  } as unknown as Awaited<ReturnType<Authenticate>>); // no route here reads the credential

function open(residency?: StartDeps["residency"]) {
  const asked: [kind: string, near: string | undefined][] = [];
  const pending = () => new Promise<never>(() => undefined);
  const deps: StartDeps = {
    send(_id, command, near) {
      asked.push([command.kind, near]);
      return Promise.resolve(Response.json({}, { status: 404 }));
    },
    ...{ lookAhead: pending, accounts: { check: never, guess: never } as unknown as StartDeps["accounts"] },
    ...{ newId: () => ID, now: () => 0, attachmentHosts: [], residency },
  };
  const app = new Hono<AppContext>();
  app.use(async (context, next) => {
    context.set("stages", new StageClock(() => 0, "other"));
    await next();
  });
  serveRoutes(app, [...chatRoutes(deps), ...chatUiRoutes(deps), ...sessionRoutes(deps)], authenticate);
  return {
    asked,
    async call(path: string, body: object, cf?: object) {
      const headers = { "content-type": "application/json" };
      const request = new Request(`https://main${path}`, { method: "POST", headers, body: JSON.stringify(body) });
      await app.request(cf === undefined ? request : Object.assign(request, { cf }));
    },
  };
}

const BERLIN = { continent: "EU", country: "DE", longitude: "13.4" };
const WARSAW = { continent: "EU", country: "PL", longitude: "21.0" };
const OREGON = { continent: "NA", country: "US", longitude: "-121.2" };
const UI = {
  id: "a-chat",
  trigger: "submit-message",
  messages: [{ id: "m", role: "user", parts: [{ type: "text", text: "Hi" }] }],
};
const NEW: [path: string, body: object, kind: string][] = [
  ["/chat", { prompt: "Hi" }, "start"],
  ["/chat/stream", { prompt: "Hi" }, "start"],
  ["/chat/ui", UI, "start"],
  ["/history/chat/with-history", { prompt: "Hi" }, "start"],
  ["/history/sessions", {}, "create"],
];

test.each(NEW)(
  "[REGION-3] %s: a new session is asked for near where its request came from",
  async (path, body, kind) => {
    const { asked, call } = open();
    await call(path, body, BERLIN);
    await call(path, body, WARSAW);
    await call(path, body, OREGON);
    await call(path, body);
    expect(asked).toEqual(["weur", "eeur", "wnam", undefined].map((near) => [kind, near]));
  },
);

test.each(NEW)(
  "[REGION-3] %s: one that must be in the EU is near within it, and nowhere else",
  async (path, body, kind) => {
    const { asked, call } = open("eu");
    await call(path, body, WARSAW);
    await call(path, body, OREGON);
    expect(asked).toEqual(["eeur", undefined].map((near) => [kind, near]));
  },
);

test("[REGION-3] a session that is there stays where it was made", async () => {
  const { asked, call } = open();
  await call("/chat", { prompt: "Hi", session_id: ID }, OREGON);
  expect(asked).toEqual([["start", undefined]]);
});
