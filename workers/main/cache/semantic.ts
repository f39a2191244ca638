/**
 * The cache by meaning: behind a miss, an answer to another wording of the same question. State: how often it failed in a row; vectors in
 * Postgres, answers in Redis, where each is an ordinary entry, read with its purges. Only first questions that anybody may be given the
 * answer to; all else that an answer depends on must be the same. What fails or takes too long is a miss.
 */
import type { Embeddings, EmbedRequest } from "../../../contracts/embeddings.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { Log } from "../../../contracts/log.ts";
import type { CallContext } from "../../../contracts/tools.ts";
import type { QuestionIndex } from "../../../contracts/vectors.ts";
import type { Cache, CacheRead, Slot } from "./cache.ts";
import { meaningScope } from "./key.ts";
import { meansTheSame } from "./same-meaning.ts";

/** A turn waits for all of it. */
const TIMEOUT_MS = 1_500;
/** Longer ones are seldom asked twice. */
const MAX_CHARS = 1_000;
const CANDIDATES = 3;
const FAILURES_TO_PAUSE = 3;
const PAUSE_MS = 30_000;

export type Hit = Extract<CacheRead<"llm">, { verdict: "hit" }>;

/** Of a question whose answer is still to be made: by what it will be found. */
export interface Meaning {
  scope: string;
  question: string;
  vector: Float32Array;
}

export interface Sought {
  hit?: Hit;
  meaning?: Meaning;
}

export interface Semantic {
  /** After the slot was found empty. Never throws. Three round trips, one after the other: the model, Postgres, and for a candidate Redis. */
  seek(slot: Slot<"llm">, context: CallContext, maxAgeSeconds?: number): Promise<Sought>;
}

export interface SemanticState {
  failures: number;
  pausedUntilMs: number;
}

/** Of an isolate: plain data, so it may outlive a request. */
const isolateState: SemanticState = { failures: 0, pausedUntilMs: 0 };

export interface SemanticOptions {
  model: string;
  /** Cosine similarity from which on questions are compared word by word. */
  threshold: number;
  embed(request: EmbedRequest, context: CallContext): Promise<Result<Embeddings>>;
  /** Told what a vector took, also when nobody waits for it any more. */
  onSpent(userId: string, spent: Pick<Embeddings, "usage"> & { provider: string | null }): void;
  index: QuestionIndex;
  cache: Pick<Cache, "read">;
  now: () => number;
  log: Log;
  state?: SemanticState;
  timeoutMs?: number;
}

export function createSemantic(options: SemanticOptions): Semantic {
  const { model, now, log, state = isolateState, timeoutMs = TIMEOUT_MS } = options;
  return {
    async seek(slot, context, maxAgeSeconds) {
      const question = questionOf(slot);
      const isPaused = state.failures >= FAILURES_TO_PAUSE && now() < state.pausedUntilMs;
      if (question === undefined || isPaused) return {};
      const scope = meaningScope(model, slot.parts);
      const sought = await within(timeoutMs, seek(options, { slot, scope, question, context, maxAgeSeconds }));
      state.failures = sought.ok ? 0 : state.failures + 1;
      if (sought.ok) return sought.value;
      state.pausedUntilMs = now() + PAUSE_MS;
      log({ service: "session", request_id: context.requestId, route: "cache.semantic", error: sought.error.code });
      return {};
    },
  };
}

interface Asked {
  slot: Slot<"llm">;
  scope: string;
  question: string;
  context: CallContext;
  maxAgeSeconds: number | undefined;
}

async function seek(options: SemanticOptions, asked: Asked): Promise<Result<Sought>> {
  const { model, threshold, embed, onSpent, index, cache } = options;
  const { slot, scope, question, context, maxAgeSeconds } = asked;
  const embedded = await embed({ model, texts: [question] }, context);
  const { usage, provider = null } = embedded.ok ? embedded.value : { usage: embedded.error.usage };
  if (usage !== undefined) onSpent(context.userId, { usage, provider });
  if (!embedded.ok) return embedded;
  const [vector] = embedded.value.vectors;
  if (vector === undefined) return fail("upstream_error", "there is no vector");
  const near = await index.nearest({ scope, vector, limit: CANDIDATES });
  if (!near.ok) return near;
  const meaning = { scope, question, vector };
  const slots = near.value.flatMap(({ key, similarity }) => (similarity >= threshold ? [{ ...slot, key }] : []));
  if (slots.length === 0) return ok({ meaning });
  const { reads } = await cache.read(slots, { maxAgeSeconds });
  const hit = reads.find((read) => read.verdict === "hit" && meansTheSame(read.question ?? "", question));
  return ok(hit?.verdict === "hit" ? { hit: { ...hit, isSimilar: true }, meaning } : { meaning });
}

/** Undefined where the answer is not for everyone, not to a first question, or not to one of words alone. */
function questionOf({ scope, parts: { history, question } }: Slot<"llm">): string | undefined {
  if (!("shared" in scope) || !Array.isArray(history) || history.length > 0) return undefined;
  const { role, content, ...more } = { ...(question as Record<string, unknown> | undefined) }; // a part of a key is JSON
  if (role !== "user" || typeof content !== "string" || Object.values(more).some((one) => one !== undefined))
    return undefined;
  return content.length <= MAX_CHARS ? content : undefined;
}

async function within<T>(timeoutMs: number, work: Promise<Result<T>>): Promise<Result<T>> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<Result<T>>((resolve) => {
    timer = setTimeout(() => resolve(fail("upstream_timeout", "it took too long")), timeoutMs);
  });
  const thrown = () => fail("internal", "a service broke off");
  return Promise.race([work.catch(thrown), late]).finally(() => clearTimeout(timer));
}
