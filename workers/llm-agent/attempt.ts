/**
 * One call of one node, sent once: until the first bytes of a stream, or to the end of a reply that is gathered here. No state.
 * Refuses a node that is silent for too long, and ends its request then, and when the caller has left.
 */
import { createDecoder } from "../../contracts/dialects.ts";
import type { Completion, ModelContext, ModelRequest } from "../../contracts/llm.ts";
import { estimateUsage } from "../../contracts/rounds.ts";
import { toChatCompletion } from "./convert-request.ts";
import type { Config } from "./env.ts";
import { gather, type OpenedStream } from "./gather.ts";
import { createLimit, type Limit } from "./limit.ts";
import { callProvider, type Net } from "./openai-compatible.ts";
import type { Endpoint } from "./provider.ts";
import { faulty, type Outcome, paidFor, type Refused, tooLong } from "./refusal.ts";

export interface AttemptDeps extends Net {
  config: Config;
  newCallId: () => string;
}

export interface Attempt<R = ModelRequest> {
  request: R;
  context: ModelContext;
  endpoint: Endpoint;
  /** The provider's name for the model. */
  model: string;
  left: Promise<void> | undefined;
}

/** Until the first bytes. */
export async function openOnce(attempt: Attempt, deps: AttemptDeps): Promise<Outcome<OpenedStream>> {
  const limit = createLimit(attempt.left);
  try {
    return await open(attempt, deps, limit);
  } finally {
    limit.disarm();
  }
}

/** The whole reply. It is asked for as a stream: a node that is silent is noticed, and nothing before it ends a reply that takes long. */
export async function completeOnce(attempt: Attempt, deps: AttemptDeps): Promise<Outcome<Completion>> {
  const limit = createLimit(attempt.left);
  const total = setTimeout(() => limit.stop(tooLong()), deps.config.LLM_TOTAL_TIMEOUT_MS);
  try {
    const opened = await open(attempt, deps, limit);
    return opened.ok ? await gather(opened.value, attempt.request, { ...deps, limit }) : opened;
  } finally {
    clearTimeout(total);
    limit.disarm();
  }
}

async function open(attempt: Attempt, deps: AttemptDeps, limit: Limit): Promise<Outcome<OpenedStream>> {
  const { endpoint } = attempt;
  limit.arm(deps.config.LLM_HEADERS_TIMEOUT_MS);
  const body = toChatCompletion(attempt);
  const call = { path: "/chat/completions", body, mediaType: "text/event-stream", signal: limit.signal } as const;
  const sent = await callProvider(endpoint, call, deps);
  if (!sent.ok) return given(attempt, limit.verdict()) ?? sent;
  limit.arm(deps.config.LLM_FIRST_TOKEN_TIMEOUT_MS);
  const opened = await readFirst(sent.value, endpoint, deps);
  return given(attempt, limit.verdict() ?? opened);
}

/** An outcome of a call that a node had taken on, or may have: the prompt has its price. */
function given<O extends Outcome<unknown> | undefined>({ request }: Attempt, outcome: O): O | Refused {
  return outcome === undefined || outcome.ok ? outcome : paidFor(outcome, estimateUsage(request, ""));
}

/** The first chunk, and whether it already tells of a failure. */
async function readFirst(response: Response, endpoint: Endpoint, deps: AttemptDeps): Promise<Outcome<OpenedStream>> {
  const rest = response.body as ReadableStream<Uint8Array> | null; // a body holds bytes, its type says any
  if (rest === null) return faulty("the model provider sent no answer", "upstream_truncated");
  const reader = rest.getReader();
  const read = await reader.read().catch(() => undefined);
  reader.releaseLock();
  if (read === undefined) return faulty("the model provider closed the connection");
  if (read.done) return faulty("the model provider sent no answer", "upstream_truncated");
  const decoder = createDecoder(endpoint.dialect, { newCallId: deps.newCallId });
  const failure = decoder.push(read.value).find((event) => event.type === "failure")?.failure;
  if (failure === undefined) return { ok: true, value: { endpoint, first: read.value, rest } };
  await rest.cancel().catch(() => undefined);
  return faulty(failure.message, failure.code);
}
