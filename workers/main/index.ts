/** main's entry: the public API and the Durable Object classes. */
import { createApp } from "./app.ts";
import { type Env, makeAppDeps, makeSessionDeps } from "./deps.ts";
import { SessionObject as SessionHost } from "./session/object.ts";

export class SessionObject extends SessionHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, makeSessionDeps(env, state));
  }
}

/** Routes and middleware, from bindings that are an isolate's own; nothing of a request is in it. */
let app: ReturnType<typeof createApp> | undefined;

export default {
  fetch(request, env, context) {
    app ??= createApp(makeAppDeps(env));
    return app.fetch(request, env, context);
  },
} satisfies ExportedHandler<Env>;
