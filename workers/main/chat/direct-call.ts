/**
 * What a model that is asked directly is given, and what is told of its reply. Pure types, and what both ways of asking share. No state.
 */
import type { FinishReason, Usage } from "../../../contracts/chat.ts";
import type { DirectEvent } from "../../../contracts/direct.ts";
import type { Failure, Result } from "../../../contracts/errors.ts";
import type { LlmAgent, ModelContext, ModelRequest, ResponseFormat, SeenCall } from "../../../contracts/llm.ts";
import type { ModelPrices } from "../../../contracts/prices.ts";
import type { ToolCall } from "../../../contracts/tools.ts";
import type { AdmittedCall } from "./admit.ts";
import { askToMend } from "./answer-format.ts";

export interface DirectDeps {
  llm: LlmAgent;
  prices: ModelPrices;
  now: () => number;
  newCallId: () => string;
  stallTimeoutMs: number;
  streamTimeoutMs: number;
}

export interface DirectEnd {
  model: string;
  provider: string | undefined;
  /** Estimated where the provider gave no figures, and where the reply did not come to its end. */
  usage: Usage;
  /** Why there is no whole answer; undefined of one that finished. */
  failure: Failure | undefined;
  answer: DirectAnswer | undefined;
}

/** An answer that came to its end. */
export interface DirectAnswer {
  content: string;
  toolCalls: ToolCall[];
  finishReason: FinishReason;
}

/** What is told of a reply while it comes; calls only where tools were offered. */
export type DirectTold =
  | Exclude<DirectEvent, { event: "usage" }>
  | { event: "usage"; data: Usage }
  | { event: "tool_calls"; data: ToolCall[] };

/** Writes what is told into a stream, in a client's form. It may keep what it needs for that. */
export type DirectWriter = (told: DirectTold[]) => string;

export interface DirectCall {
  /** The account has let it in: nothing is asked without that. */
  admitted: AdmittedCall;
  request: ModelRequest;
  context: ModelContext;
  /** Aborts when the client has left. */
  signal: AbortSignal;
  onEnd(end: DirectEnd): void;
  /** Each one: an answer that is made once more is two. */
  onModelCall(call: SeenCall): void;
  /** A reader of a stream has come (1) or left (-1). */
  onStream(by: 1 | -1): void;
  /** Of a stream. */
  onFirstWords(): void;
  /** An answer that is not of this form is made once more; left out: the client judges it. */
  heldTo?: ResponseFormat;
  /** One that was cut off stands as it is: its finish reason tells. Left out: it is not of that form. */
  takesCut?: boolean;
  /** Left out: frames of this API. */
  write?: DirectWriter;
}

/** How soon it is noticed that nobody listens any more. */
export const BEAT_MS = 1_000;

/** A bug: what was asked until then has been paid for all the same. */
export const BROKEN: Failure = { code: "internal", message: "the call broke off" };

interface SeenReply {
  provider: string | undefined;
  askedAtMs: number;
  usage: Usage;
  failure: Failure | undefined;
  /** It was begun again after one that broke off. */
  isRestart?: boolean;
}

/** Tells how one call of the model went. */
export function tellCall(
  { request: { model }, onModelCall }: DirectCall,
  { now }: DirectDeps,
  { provider = "none", askedAtMs, usage, failure, isRestart = false }: SeenReply,
): void {
  onModelCall({ provider, model, ms: now() - askedAtMs, usage, error: failure?.code, isRestart });
}

/** Without tools: what is asked for is the answer. */
export function toMend(request: ModelRequest, answer: string, problem: string): ModelRequest {
  const { tools: _tools, toolChoice: _choice, parallelToolCalls: _parallel, ...asked } = request;
  return { ...asked, messages: [...request.messages, ...askToMend(answer, problem)] };
}

/** The model service itself may fail: its binding throws. */
export function reach<T>(asked: Promise<Result<T>>): Promise<Result<T>> {
  const failure: Failure = { code: "upstream_error", message: "the model service did not answer" };
  return asked.catch(() => ({ ok: false, error: failure }));
}

/** Says what the call took, to the account and to whoever asked. */
export function tellEnd({ admitted, onEnd }: DirectCall, end: DirectEnd): void {
  admitted.settle(end);
  onEnd(end);
}

/** With how the user's limits stand, as every reply tells. */
export function refusedWith(failure: Failure, { admitted }: DirectCall): Result<never> {
  return { ok: false, error: { ...failure, limits: admitted.limits } };
}
