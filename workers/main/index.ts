/** main's entry: the public API and the Durable Object classes. */
import { tracing, waitUntil } from "cloudflare:workers";
import type { InSpan } from "../../contracts/spans.ts";
import { createApp } from "./app.ts";
import { AccountObject as AccountHost } from "./accounts/object.ts";
import { makeAccountDeps, makeAppDeps, makeSessionDeps } from "./deps.ts";
import { type Env, now } from "./outside.ts";
import { FlightObject as FlightHost } from "./flights/object.ts";
import { MetricsObject as MetricsHost } from "./metrics/object.ts";
import { LimiterObject as LimiterHost } from "./limits/object.ts";
import { SessionObject as SessionHost } from "./session/object.ts";

/** Of the platform: where tracing is off, or leaves this request out, a span is nothing but the call of its work. */
const inSpan: InSpan = ({ name, attributes = {} }, work) =>
  tracing.enterSpan(name, (span) => {
    span.setAttributes(attributes);
    return work((more) => void span.setAttributes(more));
  });

export class SessionObject extends SessionHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, makeSessionDeps(env, state, inSpan));
  }
}

export class AccountObject extends AccountHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, makeAccountDeps(env, state));
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

export class MetricsObject extends MetricsHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, now);
  }
}

/** Routes and middleware, from bindings that are an isolate's own; nothing of a request is in it. */
let app: ReturnType<typeof createApp> | undefined;

export default {
  fetch(request, env, context) {
    app ??= createApp(makeAppDeps(env, waitUntil, inSpan));
    return app.fetch(request, env, context);
  },
} satisfies ExportedHandler<Env>;
