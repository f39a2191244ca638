/**
 * A model asked directly: no session, no tools but its client's own, one request of one client. Runs in the Worker, and ends with its
 * client: who leaves ends the provider's request. No storage; what it cost and gave is told to the account and to `onEnd`, whoever ended it,
 * once. Nothing is called that the account has not let in (admit.ts).
 */
import type { Usage } from "../../../contracts/chat.ts";
import { type Failure, ok, type Result } from "../../../contracts/errors.ts";
import type { Completion, ModelRequest, WhenGone } from "../../../contracts/llm.ts";
import { addUsage, NO_USAGE, spentBy } from "../../../contracts/rounds.ts";
import { findProblem, unusable } from "./answer-format.ts";
import {
  BEAT_MS,
  BROKEN,
  type DirectCall,
  type DirectDeps,
  type DirectEnd,
  reach,
  refusedWith,
  tellCall,
  tellEnd,
  toMend,
} from "./direct-call.ts";
import { DirectStream } from "./direct-stream.ts";

export function completeDirect(call: DirectCall, deps: DirectDeps): Promise<Result<Completion>> {
  const completed = complete(call, deps);
  call.admitted.hold(completed);
  return completed;
}

async function complete(call: DirectCall, deps: DirectDeps): Promise<Result<Completion>> {
  const { request, signal } = call;
  const { gone, leave } = untilGone(signal);
  try {
    const bill: Bill = { usage: NO_USAGE };
    const completed = await completeInForm(call, deps, gone, bill).catch((error: unknown) => {
      tellEnd(call, { ...endOf(request, BROKEN), usage: bill.usage });
      throw error;
    });
    const { model } = request;
    const { usage } = bill;
    if (completed.ok) {
      const { provider, content, toolCalls, finishReason } = completed.value;
      tellEnd(call, { model, provider, usage, failure: undefined, answer: { content, toolCalls, finishReason } });
      return completed;
    }
    tellEnd(call, { model, provider: undefined, usage, failure: completed.error, answer: undefined });
    return refusedWith(completed.error, call);
  } finally {
    leave();
  }
}

/** What all calls took together, as far as they have got. */
interface Bill {
  usage: Usage;
}

/** An answer that is not the JSON that was asked for is made once more; calls of tools are none. */
async function completeInForm(
  call: DirectCall,
  deps: DirectDeps,
  gone: WhenGone,
  bill: Bill,
): Promise<Result<Completion>> {
  const { request, heldTo, takesCut } = call;
  const ask = async (asked: ModelRequest): Promise<Result<Completion>> => {
    const askedAtMs = deps.now();
    const completed = await reach(deps.llm.generate(asked, call.context, gone));
    const usage = completed.ok ? completed.value.usage : spentBy(asked, completed.error);
    bill.usage = addUsage(bill.usage, usage);
    const [provider, failure] = completed.ok ? [completed.value.provider] : [undefined, completed.error];
    tellCall(call, deps, { provider, askedAtMs, usage, failure });
    return completed;
  };
  const first = await ask(request);
  if (!first.ok || first.value.toolCalls.length > 0) return first;
  const problem = findProblem(heldTo, first.value.content);
  if (problem === undefined) return first;
  if (first.value.finishReason !== "stop") return takesCut ? first : UNUSABLE;
  const second = await ask(toMend(request, first.value.content, problem));
  if (!second.ok) return second;
  return findProblem(heldTo, second.value.content) === undefined
    ? ok({ ...second.value, usage: bill.usage })
    : UNUSABLE;
}

const UNUSABLE: Result<never> = { ok: false, error: unusable().failure };

/**
 * The events of the reply as bytes. A failure that is known at once is a result; who has to wait longer is sent comments meanwhile,
 * and failures as events: only a write tells that a client has left.
 */
export function streamDirect(asked: DirectCall, deps: DirectDeps): Promise<Result<ReadableStream<Uint8Array>>> {
  const ended = Promise.withResolvers<void>();
  const onEnd = (end: DirectEnd): void => {
    ended.resolve();
    asked.onEnd(end);
  };
  asked.admitted.hold(ended.promise);
  return open({ ...asked, onEnd }, deps);
}

async function open(call: DirectCall, deps: DirectDeps): Promise<Result<ReadableStream<Uint8Array>>> {
  const { request, context, signal } = call;
  const { gone, leave } = untilGone(signal);
  const askedAtMs = deps.now();
  const opened = reach(deps.llm.stream(request, context, gone));
  const early = await within(opened, BEAT_MS);
  if (early === undefined || early.ok) {
    return ok(new DirectStream({ opened, askedAtMs, gone, leave }, call, deps).readable);
  }
  leave();
  const end = endOf(request, early.error);
  tellCall(call, deps, { ...end, askedAtMs });
  tellEnd(call, end);
  return refusedWith(early.error, call);
}

/** Undefined when it takes longer. */
async function within<T>(promise: Promise<T>, timeoutMs: number): Promise<T | undefined> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function untilGone(signal: AbortSignal) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const leave = (): void => resolve();
  if (signal.aborted) leave();
  signal.addEventListener("abort", leave, { once: true });
  return { gone: () => promise, leave };
}

/** Of a call that gave nothing. */
function endOf(request: ModelRequest, failure: Failure): DirectEnd {
  const usage = spentBy(request, failure);
  return { model: request.model, provider: undefined, usage, failure, answer: undefined };
}
