/** main's entry: the public API and the Durable Object classes. */
import { waitUntil } from "cloudflare:workers";
import { createApp } from "./app.ts";
import { AccountObject as AccountHost } from "./accounts/object.ts";
import { type Env, makeAccountDeps, makeAppDeps, makeRetention, makeSessionDeps, now } from "./deps.ts";
import { FlightObject as FlightHost } from "./flights/object.ts";
import { LimiterObject as LimiterHost } from "./limits/object.ts";
import { SessionObject as SessionHost } from "./session/object.ts";

export class SessionObject extends SessionHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, makeSessionDeps(env, state));
  }
}

export class AccountObject extends AccountHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, makeAccountDeps(env));
  }
}

export class LimiterObject extends LimiterHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, now);
  }
}

export class FlightObject extends FlightHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, now);
  }
}

/** Routes and middleware, from bindings that are an isolate's own; nothing of a request is in it. */
let app: ReturnType<typeof createApp> | undefined;

export default {
  fetch(request, env, context) {
    app ??= createApp(makeAppDeps(env, waitUntil));
    return app.fetch(request, env, context);
  },
  /** Once an hour: wrangler.toml. */
  async scheduled(_event, env) {
    await makeRetention(env)?.();
  },
} satisfies ExportedHandler<Env>;
