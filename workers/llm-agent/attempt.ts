/**
 * One call of one node, sent once: until the first bytes of a stream, or to the end of a reply in one piece. No state.
 * Refuses a node that is silent for too long, and ends its request then, and when the caller has left.
 */
import { createDecoder } from "../../contracts/dialects.ts";
import type { Completion, ModelContext, ModelRequest } from "../../contracts/llm.ts";
import { estimateUsage } from "../../contracts/rounds.ts";
import { toChatCompletion } from "./convert-request.ts";
import type { Config } from "./env.ts";
import { callProvider, type Net } from "./openai-compatible.ts";
import type { Endpoint } from "./provider.ts";
import { readCompletion } from "./read-completion.ts";
import { readText } from "./read-text.ts";
import { faulty, type Outcome, paidFor, type Refused, refused, tooSlow } from "./refusal.ts";

const MAX_REPLY_BYTES = 4 * 1024 * 1024;

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

export interface OpenedStream {
  endpoint: Endpoint;
  /** What the provider sent first, already looked at. */
  first: Uint8Array;
  /** The bytes after `first`. Cancelling it closes the provider's socket. */
  rest: ReadableStream<Uint8Array>;
}

export async function openOnce(attempt: Attempt, deps: AttemptDeps): Promise<Outcome<OpenedStream>> {
  const { endpoint, left } = attempt;
  const limit = createLimit(left);
  try {
    limit.arm(deps.config.LLM_HEADERS_TIMEOUT_MS);
    const body = toChatCompletion(attempt, true);
    const call = { path: "/chat/completions", body, mediaType: "text/event-stream", signal: limit.signal } as const;
    const sent = await callProvider(endpoint, call, deps);
    if (!sent.ok) return given(attempt, limit.verdict()) ?? sent;
    limit.arm(deps.config.LLM_FIRST_TOKEN_TIMEOUT_MS);
    const opened = await readFirst(sent.value, endpoint, deps);
    return given(attempt, limit.verdict() ?? opened);
  } finally {
    limit.disarm();
  }
}

/** The reply in one piece. */
export async function completeOnce(attempt: Attempt, deps: AttemptDeps): Promise<Outcome<Completion>> {
  const { endpoint, request, left } = attempt;
  const limit = createLimit(left);
  try {
    limit.arm(deps.config.LLM_TOTAL_TIMEOUT_MS);
    const body = toChatCompletion(attempt, false);
    const call = { path: "/chat/completions", body, mediaType: "application/json", signal: limit.signal } as const;
    const sent = await callProvider(endpoint, call, deps);
    if (!sent.ok) return given(attempt, limit.verdict()) ?? sent;
    const text = await readText(sent.value, MAX_REPLY_BYTES).catch(() => "");
    const { provider } = endpoint;
    const completed = readCompletion(text ?? "", { request, provider, newCallId: deps.newCallId });
    return given(attempt, limit.verdict() ?? completed);
  } finally {
    limit.disarm();
  }
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

/** Aborts a call when its time is over or its caller is gone; `verdict` says which. */
export function createLimit(left: Promise<void> | undefined) {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let refusal: Refused | undefined;
  const stop = (why: Refused): void => {
    refusal ??= why;
    controller.abort();
  };
  void left?.then(() => stop(refused("cancelled", "the caller left")));
  const disarm = (): void => clearTimeout(timer);
  return {
    signal: controller.signal,
    disarm,
    arm(ms: number): void {
      disarm();
      timer = setTimeout(() => stop(tooSlow()), ms);
    },
    verdict: () => refusal,
  };
}
