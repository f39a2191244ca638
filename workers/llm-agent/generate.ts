/**
 * The story of a call to a model: choose a provider, send, try again where that may help, and hand over the reply.
 * No state. Never more than three calls: one retry of a fault, one wait for a rate limit that ends within five seconds.
 */
import { createDecoder } from "../../contracts/dialects.ts";
import type { Failure, Result } from "../../contracts/errors.ts";
import type { Completion, ModelRequest, WhenGone } from "../../contracts/llm.ts";
import { toChatCompletion } from "./convert-request.ts";
import type { Config } from "./env.ts";
import { callProvider, type Net } from "./openai-compatible.ts";
import { chooseProvider, type Provider } from "./provider.ts";
import { readCompletion } from "./read-completion.ts";
import { readText } from "./read-text.ts";
import { faulty, refused, type Outcome, type Retry } from "./refusal.ts";

const MAX_REPLY_BYTES = 4 * 1024 * 1024;

export interface CallDeps extends Net {
  config: Config;
  wait: (ms: number) => Promise<void>;
  newCallId: () => string;
}

export interface OpenedStream {
  provider: Provider;
  /** What the provider sent first, already looked at. */
  first: Uint8Array;
  /** The bytes after `first`. Cancelling it closes the provider's socket. */
  rest: ReadableStream<Uint8Array>;
}

/** Resolves with the provider's first bytes; a failure in them is still tried again. */
export async function openStream(
  request: ModelRequest,
  deps: CallDeps,
  gone?: WhenGone,
): Promise<Result<OpenedStream>> {
  const chosen = chooseProvider(deps.config, request.modelType);
  if (!chosen.ok) return chosen;
  const provider = chosen.value;
  const body = toChatCompletion(request, provider.quirks, true);
  return withRetries(deps, async () => {
    const limit = createLimit(gone);
    try {
      limit.arm(deps.config.LLM_HEADERS_TIMEOUT_MS);
      const call = { path: "/chat/completions", body, mediaType: "text/event-stream", signal: limit.signal } as const;
      const sent = await callProvider(provider, call, deps);
      if (!sent.ok) return limit.verdict() ?? sent;
      limit.arm(deps.config.LLM_FIRST_TOKEN_TIMEOUT_MS);
      const opened = await readFirst(sent.value, provider, deps);
      return limit.verdict() ?? opened;
    } finally {
      limit.disarm();
    }
  });
}

/** The reply in one piece. */
export async function complete(request: ModelRequest, deps: CallDeps, gone?: WhenGone): Promise<Result<Completion>> {
  const chosen = chooseProvider(deps.config, request.modelType);
  if (!chosen.ok) return chosen;
  const provider = chosen.value;
  const body = toChatCompletion(request, provider.quirks, false);
  return withRetries(deps, async () => {
    const limit = createLimit(gone);
    try {
      limit.arm(deps.config.LLM_TOTAL_TIMEOUT_MS);
      const call = { path: "/chat/completions", body, mediaType: "application/json", signal: limit.signal } as const;
      const sent = await callProvider(provider, call, deps);
      if (!sent.ok) return limit.verdict() ?? sent;
      const text = await readText(sent.value, MAX_REPLY_BYTES).catch(() => "");
      return (
        limit.verdict() ?? readCompletion(text ?? "", { request, provider: provider.name, newCallId: deps.newCallId })
      );
    } finally {
      limit.disarm();
    }
  });
}

async function withRetries<T>(deps: CallDeps, attempt: () => Promise<Outcome<T>>): Promise<Result<T>> {
  const spent = new Set<Retry["kind"]>();
  for (;;) {
    const outcome = await attempt();
    if (outcome.ok) return outcome;
    const { error, retry } = outcome;
    if (retry === undefined || spent.has(retry.kind)) return { ok: false, error };
    spent.add(retry.kind);
    await deps.wait(retry.afterMs);
  }
}

/** The first chunk, and whether it already tells of a failure. */
async function readFirst(response: Response, provider: Provider, deps: CallDeps): Promise<Outcome<OpenedStream>> {
  const rest = response.body as ReadableStream<Uint8Array> | null; // a body holds bytes, its type says any
  if (rest === null) return faulty("the model provider sent no answer", "upstream_truncated");
  const reader = rest.getReader();
  const read = await reader.read().catch(() => undefined);
  reader.releaseLock();
  if (read === undefined) return faulty("the model provider closed the connection");
  if (read.done) return faulty("the model provider sent no answer", "upstream_truncated");
  const decoder = createDecoder(provider.dialect, { newCallId: deps.newCallId });
  const failure = decoder.push(read.value).find((event) => event.type === "failure")?.failure;
  if (failure === undefined) return { ok: true, value: { provider, first: read.value, rest } };
  await rest.cancel().catch(() => undefined);
  return faulty(failure.message, failure.code);
}

/** Aborts a call when its time is over or its caller is gone; `verdict` says which. */
function createLimit(gone: WhenGone | undefined) {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failure: Failure | undefined;
  const stop = (code: Failure["code"], message: string): void => {
    failure ??= { code, message };
    controller.abort();
  };
  // A caller that vanished cannot say so: the rejection of its stub means nothing here.
  gone?.().then(
    () => stop("cancelled", "the caller left"),
    () => undefined,
  );
  const disarm = (): void => clearTimeout(timer);
  return {
    signal: controller.signal,
    disarm,
    arm(ms: number): void {
      disarm();
      timer = setTimeout(() => stop("upstream_timeout", "the model provider did not answer in time"), ms);
    },
    verdict: () => (failure === undefined ? undefined : refused(failure.code, failure.message)),
  };
}
