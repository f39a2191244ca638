/**
 * The failure policy of a call to a model, all of it: which node is called, when it is called again, and when another one is.
 * No state but the fleet's. Never more than three calls a request: two at most at one provider while another could serve it, one
 * retry of a fault at the same node, one wait for a rate limit that ends within five seconds. A stream that has begun is not started over here.
 */
import type { Usage } from "../../contracts/chat.ts";
import { checkTexts, type Embeddings, type EmbedRequest } from "../../contracts/embeddings.ts";
import type { Failure, Result } from "../../contracts/errors.ts";
import type { Broken, Completion, ModelAttempt, ModelContext, ModelRequest } from "../../contracts/llm.ts";
import { lackedBy, requireAbilities } from "../../contracts/models.ts";
import { addUsage, NO_USAGE } from "../../contracts/rounds.ts";
import { type Attempt, type AttemptDeps, completeOnce, openOnce } from "./attempt.ts";
import { embedOnce } from "./embed.ts";
import type { Fleet, Release } from "./fleet.ts";
import type { OpenedStream } from "./gather.ts";
import type { Endpoint } from "./provider.ts";
import type { Elsewhere, Outcome, Refused, Retry } from "./refusal.ts";
import { type ModelRoute, type Routed, routesFor } from "./routes.ts";

const MAX_CALLS = 3;
const MAX_CALLS_A_PROVIDER = 2;
/** A wait grows by up to so much of itself, so that callers that failed together do not come back together. */
const JITTER = 0.5;
const LONGEST_JITTER_MS = 250;
/** A node that is busy is passed by for so long at most. */
const LONGEST_BUSY_MS = 30_000;

/** Every provider that could serve it has as many calls as it may. */
const FULL: Failure = {
  code: "rate_limited",
  message: "the model has all the calls it may have",
  retryAfterSeconds: 1,
};

const LEFT: Failure = { code: "cancelled", message: "the caller left" };

export interface CallDeps extends AttemptDeps {
  fleet: Fleet;
  /** 0 <= x < 1 */
  random: () => number;
  wait: (ms: number) => Promise<void>;
  /** For the log: the nodes that were called. */
  trace: string[];
  /** The same, with what became of it. */
  attempts: ModelAttempt[];
}

export interface ModelCall<R extends Routed = ModelRequest> {
  request: R;
  context: ModelContext;
  /** Resolves when the caller wants no reply any more. */
  left?: Promise<void> | undefined;
}

/** The stream counts as a call in flight until it is released. */
export type HeldStream = OpenedStream & { release: Release; paid: Usage | undefined };

/** Resolves with the provider's first bytes; a failure in them is still tried again. */
export async function openStream(call: ModelCall, deps: CallDeps): Promise<Result<HeldStream>> {
  const opened = await withFailover(call, deps, async (attempt, release) => {
    const stream = await openOnce(attempt, deps);
    return stream.ok ? { ok: true, value: { ...stream.value, release } } : stream;
  });
  return opened.ok ? { ok: true, value: { ...opened.value.of, paid: opened.value.paid } } : opened;
}

/** The reply in one piece: one that broke off has shown nothing, and is asked for again like one that did not begin. */
export async function complete(call: ModelCall, deps: CallDeps): Promise<Result<Completion>> {
  return withPaid(
    await withFailover(call, deps, async (attempt, release) => {
      const completed = await completeOnce(attempt, deps);
      release();
      return completed;
    }),
  );
}

/** Texts as vectors. The whole reply is small and costs little: what was cut off is asked for again. */
export async function embed(call: ModelCall<EmbedRequest>, deps: CallDeps): Promise<Result<Embeddings>> {
  const { request } = call;
  const checked = checkTexts(request);
  if (!checked.ok) return checked;
  const able = requireAbilities(lackedBy(deps.config.MODELS, request.model), ["embeddings"]);
  if (!able.ok) return able;
  return withPaid(
    await withFailover(call, deps, async (attempt, release) => {
      const embedded = await embedOnce(attempt, deps);
      release();
      return embedded;
    }),
  );
}

/** Of a reply that its caller does not ask for again. */
export function brokeOff(request: Broken, deps: CallDeps): Result<null> {
  const routes = routesFor(deps.config, request);
  if (!routes.ok) return routes;
  new Story(routes.value, deps, undefined).avoid(request.avoid ?? []);
  return { ok: true, value: null };
}

/** What was paid for answers that came to nothing is part of the usage. */
function withPaid<T extends { usage: Usage }>(answered: Result<Answered<T>>): Result<T> {
  if (!answered.ok) return answered;
  const { of, paid } = answered.value;
  return { ok: true, value: { ...of, usage: addUsage(paid, of.usage) } };
}

interface Answered<T> {
  of: T;
  /** What attempts took that came to nothing. Of a call without an answer it is in the failure. */
  paid: Usage | undefined;
}

interface Target {
  route: ModelRoute;
  endpoint: Endpoint;
}

async function withFailover<T, R extends Routed>(
  { request, context, left }: ModelCall<R>,
  deps: CallDeps,
  send: (attempt: Attempt<R>, release: Release) => Promise<Outcome<T>>,
): Promise<Result<Answered<T>>> {
  const routes = routesFor(deps.config, request);
  if (!routes.ok) return routes;
  const story = new Story(routes.value, deps, context.sessionId);
  story.avoid(request.avoid ?? []);
  let paid: Usage | undefined;
  let hasLeft = false;
  const leaving = left?.then(() => void (hasLeft = true));
  let target = story.next("node");
  while (target !== undefined) {
    const { endpoint, route } = target;
    const release = deps.fleet.take(endpoint, deps.now());
    void left?.then(release);
    deps.trace.push(endpoint.id);
    const outcome = await send({ request, context, endpoint, model: route.model, left }, release);
    const code = outcome.ok ? "ok" : outcome.error.code;
    deps.attempts.push({ provider: endpoint.provider, node: endpoint.id, code });
    if (outcome.ok) {
      deps.fleet.began(endpoint);
      return { ok: true, value: { of: outcome.value, paid } };
    }
    release();
    if (outcome.error.usage !== undefined) paid = addUsage(paid, outcome.error.usage);
    const next = story.after(outcome, target);
    target = await (leaving ? Promise.race([next, leaving]) : next);
    if (hasLeft) break;
  }
  // Told, so that nobody takes it for a call that was left in its middle.
  if (hasLeft) return { ok: false, error: { ...LEFT, usage: paid ?? NO_USAGE } };
  return { ok: false, error: paid === undefined ? story.failure : { ...story.failure, usage: paid } };
}

/** What has been tried for one request, and what is left to try. */
class Story {
  /** Of the last call; before the first one that there is nobody to call. */
  failure: Failure = { code: "overloaded", message: "no node can take the request now", retryAfterSeconds: 5 };
  readonly #routes: ModelRoute[];
  readonly #deps: CallDeps;
  readonly #key: string | undefined;
  readonly #tried = new Set<Endpoint>();
  readonly #calls = new Map<string, number>();
  readonly #spent = new Set<Retry["kind"]>();

  constructor(routes: ModelRoute[], deps: CallDeps, key: string | undefined) {
    this.#routes = routes;
    this.#deps = deps;
    this.#key = key;
  }

  /** Nodes that broke off in this reply: the caller saw it, and only the caller. */
  avoid(ids: string[]): void {
    const { fleet, now, random } = this.#deps;
    for (const endpoint of this.#routes.flatMap(({ endpoints }) => endpoints)) {
      if (!ids.includes(endpoint.id)) continue;
      this.#tried.add(endpoint);
      fleet.brokeOff(endpoint, now(), random());
    }
  }

  /** Where to call next; undefined when this refusal is the answer. */
  async after(refusal: Refused, { endpoint, route }: Target): Promise<Target | undefined> {
    const { error, elsewhere, retry } = refusal;
    this.failure = error;
    this.#tried.add(endpoint);
    this.#calls.set(route.provider, this.#callsAt(route.provider) + 1);
    this.#note(refusal, endpoint);
    if ([...this.#calls.values()].reduce((sum, calls) => sum + calls, 0) >= MAX_CALLS) return undefined;
    const other = this.next(elsewhere, route.provider);
    if (other !== undefined) return other;
    if (retry === undefined || this.#spent.has(retry.kind) || !this.#deps.fleet.mayRetry(endpoint)) return undefined;
    this.#spent.add(retry.kind);
    await this.#deps.wait(retry.afterMs + this.#deps.random() * Math.min(retry.afterMs * JITTER, LONGEST_JITTER_MS));
    return { endpoint, route };
  }

  /** The best of what was not tried. A node that drains is none; one that is ill is better than nobody. */
  next(elsewhere: Elsewhere, failedProvider?: string): Target | undefined {
    const left = this.#routes
      .filter(({ provider }) => elsewhere === "node" || (elsewhere === "provider" && provider !== failedProvider))
      .map((route) => ({ route, endpoints: route.endpoints.filter((one) => !one.isDraining && !this.#tried.has(one)) }))
      .filter(({ endpoints }) => endpoints.length > 0);
    const open = left.filter(({ route }) => !this.#deps.fleet.isFull(route.endpoints, this.#deps.now()));
    if (left.length > 0 && open.length === 0 && this.#tried.size === 0) this.failure = FULL;
    const fresh = open.filter(({ route }) => this.#callsAt(route.provider) < MAX_CALLS_A_PROVIDER);
    const { fleet, now, random } = this.#deps;
    for (const state of ["ready", "busy", "ill"] as const) {
      for (const { route, endpoints } of fresh.length > 0 ? fresh : open) {
        const endpoint = fleet.pick(endpoints, state, { key: this.#key, nowMs: now(), random });
        if (endpoint !== undefined) return { route, endpoint };
      }
    }
    return undefined;
  }

  #note({ node, error, retry }: Refused, endpoint: Endpoint): void {
    const { fleet, now, random } = this.#deps;
    if (node === "failed") fleet.failed(endpoint, now(), random());
    if (node !== "busy") return;
    const seconds = retry === undefined ? (error.retryAfterSeconds ?? 0) : retry.afterMs / 1_000;
    fleet.busyUntil(endpoint, now() + Math.min(seconds * 1_000, LONGEST_BUSY_MS));
  }

  #callsAt(provider: string): number {
    return this.#calls.get(provider) ?? 0;
  }
}
