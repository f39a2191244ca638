/**
 * What a provider's refusal means for us: a public failure, and whether another call may help. Pure: the clock is an argument.
 * Decides by status, media type and error code, never by a vendor's text.
 */
import type { Usage } from "../../contracts/chat.ts";
import type { Failure } from "../../contracts/errors.ts";

/** A call of the same node that may help; each kind is tried at most once a request. */
export interface Retry {
  kind: "rate" | "fault";
  afterMs: number;
}

/** Who else may do better: any other node, another provider only, or nobody. */
export type Elsewhere = "node" | "provider" | "nowhere";

export interface Refused {
  ok: false;
  error: Failure;
  retry?: Retry;
  elsewhere: Elsewhere;
  /** What it says of the node. Left out: nothing. */
  node?: "failed" | "busy";
}

export type Outcome<T> = { ok: true; value: T } | Refused;

export interface RefusedResponse {
  status: number;
  json: boolean;
  code: string | undefined;
  retryAfter: string | null;
}

const LONGEST_WAIT_SECONDS = 5;
const LONGEST_RETRY_AFTER_SECONDS = 3_600;
const RETRY_AFTER_UNKNOWN_SECONDS = 5;
const FAULT_PAUSE_MS = 200;

export function refuseResponse({ status, json, code, retryAfter }: RefusedResponse, nowMs: number): Refused {
  if (status === 429) return rateLimited(readRetryAfter(retryAfter, nowMs));
  if (status >= 500 || status === 408) return faulty("the model provider failed");
  if (status === 401 || status === 403 || (status >= 300 && status < 400)) return unauthorized();
  if (code === "context_length_exceeded") {
    return refused("context_length_exceeded", "the conversation is longer than the model's context");
  }
  if (status === 413) return refused("payload_too_large", "the request is larger than the model provider takes");
  if (status === 400 || status === 422) return refused("invalid_request", "the model provider refused the request");
  if (status === 404 && json) {
    return { ...refused("model_not_found", "the provider does not serve this model"), elsewhere: "provider" };
  }
  const refusal = refused("upstream_error", "the model provider refused the request");
  // A page where an API should be: whoever stands in front of the node does not find it.
  return status === 404 ? { ...refusal, elsewhere: "node", node: "failed" } : refusal;
}

/** A good status with a body that is no reply: a login page is HTML with status 200. */
export function refuseMediaType(mediaType: string): Refused {
  return mediaType.startsWith("text/html")
    ? unauthorized()
    : refused("upstream_error", "the model provider sent an unreadable answer");
}

export function faulty(message: string, code: Failure["code"] = "upstream_error"): Refused {
  const retry = { kind: "fault", afterMs: FAULT_PAUSE_MS } as const;
  return { ...refused(code, message), retry, elsewhere: "node", node: "failed" };
}

/** Another node may be quicker; this one was given its time. */
export function tooSlow(): Refused {
  const refusal = refused("upstream_timeout", "the model provider did not answer in time");
  return { ...refusal, elsewhere: "node", node: "failed" };
}

/** It would be so again, elsewhere too. */
export function tooLong(): Refused {
  return refused("upstream_timeout", "the model's answer takes too long");
}

/** It was let in: the provider has read what it was sent, and may bill it, whatever became of the answer. */
export function paidFor(refusal: Refused, usage: Usage): Refused {
  return { ...refusal, error: { ...refusal.error, usage: refusal.error.usage ?? usage } };
}

export function refused(code: Failure["code"], message: string): Refused {
  return { ok: false, error: { code, message }, elsewhere: "nowhere" };
}

/** Whole seconds; undefined for what is no time to come: missing, negative, not a date. */
export function readRetryAfter(header: string | null, nowMs: number): number | undefined {
  const text = header?.trim() ?? "";
  if (text === "") return undefined;
  const seconds = Number(text);
  if (Number.isNaN(seconds)) {
    const dateMs = Date.parse(text);
    return Number.isNaN(dateMs)
      ? undefined
      : Math.min(Math.max(0, Math.ceil((dateMs - nowMs) / 1000)), LONGEST_RETRY_AFTER_SECONDS);
  }
  return seconds < 0 ? undefined : Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER_SECONDS);
}

function rateLimited(seconds: number | undefined): Refused {
  const retryAfterSeconds = Math.max(1, seconds ?? RETRY_AFTER_UNKNOWN_SECONDS);
  return {
    ok: false,
    error: { code: "rate_limited", message: "the model provider is busy", retryAfterSeconds },
    ...(seconds !== undefined &&
      seconds <= LONGEST_WAIT_SECONDS && { retry: { kind: "rate", afterMs: seconds * 1000 } }),
    elsewhere: "node",
    node: "busy",
  };
}

/** No call of the same node helps; another one may have another door. */
function unauthorized(): Refused {
  const refusal = refused("upstream_auth", "the model provider refused our credentials");
  return { ...refusal, elsewhere: "node", node: "failed" };
}
