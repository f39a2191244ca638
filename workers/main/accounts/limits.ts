/**
 * What one user may ask of the models: requests and tokens a minute, turns at once, tokens and money a day. Pure: it changes the `Spent` that
 * it is given, and nothing else. A call is counted by its estimate when it begins and by the truth once that is known. Any 60 seconds are a minute; a
 * day is UTC's. Refuses what would be one too many, and says when it would not be.
 */
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { UsageKind } from "../../../contracts/ledger.ts";
import type { LimitState, Quota, Reservation } from "../../../contracts/limits.ts";

export interface LimitSettings {
  requestsPerMinute: number;
  tokensPerMinute: number;
  /** Turns and direct calls that have not ended. */
  streams: number;
  /** Left out: as many as the other limits let through. */
  tokensPerDay?: number | undefined;
  costPerDayUsd?: number | undefined;
}

/** What a call takes, or is thought to. */
export interface Amount {
  tokens: number;
  costUsd: number;
}

export interface OpenCall extends Amount {
  id: string;
  startedAtMs: number;
  /** When it was last heard of. */
  aliveAtMs: number;
  /** For a person: it takes no place of those that run, and may take long. */
  waits: boolean;
  /** Tokens that it was counted with in its minute, where that has fewer. */
  minuteTokens?: number | undefined;
  /** What to write down of it if its end is never told; left out: somebody else sees to that. */
  alone?: (Pick<Reservation, "model" | "promptTokens" | "answerTokens"> & { kind?: UsageKind }) | undefined;
}

/** What is kept of a user's calls. */
export interface Spent {
  /** Of the last minute, oldest first, by the second in which calls began. */
  seconds: { second: number; requests: number; tokens: number }[];
  open: OpenCall[];
  /** Ids of the last minute of what nobody had asked leave for; left out: none. */
  added?: { id: string; second: number }[];
  /** Number of the day that the two figures are of. */
  day: number;
  tokens: number;
  costUsd: number;
}

/** A second counts until all of it is a minute ago. */
const COUNTED_SECONDS = 61;
const DAY_MS = 86_400_000;
/** A call whose end is not told for so long holds no place any more; its estimate stays. */
export const LOST_AFTER_MS = 15 * 60_000;
/** One that waits for a person: longer than a person has. */
const WAITS_AT_MOST_MS = 2 * 3_600_000;
/** There is no telling when a turn ends. */
const STREAM_RETRY_SECONDS = 1;

export function nothingSpent(): Spent {
  return { seconds: [], open: [], day: 0, tokens: 0, costUsd: 0 };
}

/** Counts a call, or refuses it. One that is open already is that one. */
export function reserve(
  spent: Spent,
  limits: LimitSettings,
  call: Omit<OpenCall, "waits" | "startedAtMs" | "aliveAtMs">,
  nowMs: number,
): Result<LimitState> {
  tidy(spent, nowMs);
  if (spent.open.some(({ id }) => id === call.id)) return ok(stateOf(spent, limits, nowMs));
  // Otherwise what is larger than a minute's limit could never begin. A day's budget pays for all of it.
  const minuteTokens = Math.min(call.tokens, limits.tokensPerMinute);
  const refused = refuse(spent, limits, { ...call, minuteTokens }, nowMs);
  if (refused !== undefined) {
    const { message, code = "rate_limited", seconds, limit } = refused;
    const more = { retryAfterSeconds: seconds, details: { limit }, limits: stateOf(spent, limits, nowMs) };
    return fail(code, message, more);
  }
  count(spent, { ...call, minuteTokens, requests: 1 }, nowMs);
  const capped = minuteTokens < call.tokens && { minuteTokens };
  spent.open.push({ ...call, ...capped, startedAtMs: nowMs, aliveAtMs: nowMs, waits: false });
  return ok(stateOf(spent, limits, nowMs));
}

/** Puts the truth in the place of the estimate. False: there is no such call, or it was given up; it stays as it was counted. */
export function settle(spent: Spent, id: string, truth: Amount): boolean {
  const call = spent.open.find((open) => open.id === id);
  if (call === undefined) return false;
  spent.open = spent.open.filter((open) => open !== call);
  const { tokens, minuteTokens = tokens, costUsd } = call;
  const more = { tokens: truth.tokens - tokens, minuteTokens: truth.tokens - minuteTokens };
  count(spent, { ...more, costUsd: truth.costUsd - costUsd, requests: 0 }, call.startedAtMs);
  return true;
}

/** Counts what nobody has asked leave for. Told again within a minute, it is the same. */
export function add(spent: Spent, id: string, amount: Amount, nowMs: number): void {
  tidy(spent, nowMs);
  const added = spent.added ?? [];
  if (added.some((one) => one.id === id)) return;
  spent.added = [...added, { id, second: secondOf(nowMs) }];
  count(spent, { ...amount, minuteTokens: amount.tokens, requests: 0 }, nowMs);
}

/** A call that waits for a person takes no place of those that run; one that goes on does again, in any case. */
export function wait(spent: Spent, id: string, waits: boolean, nowMs: number): void {
  for (const call of spent.open) if (call.id === id) Object.assign(call, { waits, aliveAtMs: nowMs });
}

/** Calls whose end was never told; they are open no more. */
export function takeLost(spent: Spent, nowMs: number): OpenCall[] {
  const isLost = ({ aliveAtMs, waits }: OpenCall): boolean =>
    nowMs - aliveAtMs >= (waits ? WAITS_AT_MOST_MS : LOST_AFTER_MS);
  const lost = spent.open.filter(isLost);
  if (lost.length > 0) spent.open = spent.open.filter((call) => !isLost(call));
  return lost;
}

function tidy(spent: Spent, nowMs: number): void {
  const second = secondOf(nowMs);
  spent.seconds = spent.seconds.filter((one) => one.second + COUNTED_SECONDS > second);
  if (spent.added) spent.added = spent.added.filter((one) => one.second + COUNTED_SECONDS > second);
  const day = dayOf(nowMs);
  if (spent.day < day) Object.assign(spent, { day, tokens: 0, costUsd: 0 });
}

type Counted = Amount & { minuteTokens: number; requests: number };

function count(spent: Spent, { tokens, minuteTokens, costUsd, requests }: Counted, atMs: number): void {
  const second = secondOf(atMs);
  const counted = spent.seconds.find((one) => one.second === second);
  if (counted !== undefined) {
    counted.requests += requests;
    counted.tokens += minuteTokens;
    // One that is not there and not the newest is more than a minute ago.
  } else if (second > (spent.seconds.at(-1)?.second ?? 0)) {
    spent.seconds.push({ second, requests, tokens: minuteTokens });
  }
  // A day that is over is not looked at again.
  if (dayOf(atMs) !== spent.day) return;
  spent.tokens += tokens;
  spent.costUsd += costUsd;
}

interface Refusal {
  code?: "budget_exceeded";
  limit: string;
  message: string;
  seconds: number;
}

function refuse(
  spent: Spent,
  limits: LimitSettings,
  call: Omit<Counted, "requests">,
  nowMs: number,
): Refusal | undefined {
  const { requestsPerMinute, tokensPerMinute, streams, tokensPerDay = Infinity, costPerDayUsd = Infinity } = limits;
  if (spent.open.filter(({ waits }) => !waits).length >= streams) {
    return { limit: "streams", message: `${streams} at once are allowed`, seconds: STREAM_RETRY_SECONDS };
  }
  const used = sumUp(spent);
  if (used.requests + 1 > requestsPerMinute) {
    const seconds = untilFree(spent, "requests", used.requests + 1 - requestsPerMinute, nowMs);
    return { limit: "requests", message: `${requestsPerMinute} requests a minute are allowed`, seconds };
  }
  if (used.tokens + call.minuteTokens > tokensPerMinute) {
    const seconds = untilFree(spent, "tokens", used.tokens + call.minuteTokens - tokensPerMinute, nowMs);
    return { limit: "tokens", message: `${tokensPerMinute} tokens a minute are allowed`, seconds };
  }
  const isTooMuch = spent.tokens + call.tokens > tokensPerDay;
  const isTooDear = spent.costUsd + call.costUsd > costPerDayUsd;
  if (!isTooMuch && !isTooDear) return undefined;
  const seconds = Math.ceil(((dayOf(nowMs) + 1) * DAY_MS - nowMs) / 1_000);
  const limit = isTooMuch ? "tokens_per_day" : "cost_per_day";
  return { code: "budget_exceeded", limit, message: "the day's budget is used up", seconds };
}

/** How long until so much of it is a minute ago. */
function untilFree({ seconds }: Spent, what: "requests" | "tokens", needed: number, nowMs: number): number {
  let freed = 0;
  for (const one of seconds) {
    freed += one[what];
    if (freed >= needed) return secondsUntil(one.second + COUNTED_SECONDS, nowMs);
  }
  return COUNTED_SECONDS;
}

function stateOf(spent: Spent, { requestsPerMinute, tokensPerMinute }: LimitSettings, nowMs: number): LimitState {
  const used = sumUp(spent);
  const newest = spent.seconds.reduce((latest, { second }) => Math.max(latest, second), 0);
  const resetMs = newest === 0 ? 0 : secondsUntil(newest + COUNTED_SECONDS, nowMs) * 1_000;
  const quota = (limit: number, taken: number): Quota => ({
    ...{ limit, remaining: Math.max(0, limit - taken), resetMs: taken > 0 ? resetMs : 0 },
  });
  return { requests: quota(requestsPerMinute, used.requests), tokens: quota(tokensPerMinute, used.tokens) };
}

function sumUp({ seconds }: Spent): { requests: number; tokens: number } {
  return {
    requests: seconds.reduce((sum, { requests }) => sum + requests, 0),
    tokens: seconds.reduce((sum, { tokens }) => sum + tokens, 0),
  };
}

function secondOf(ms: number): number {
  return Math.floor(ms / 1_000);
}

function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS);
}

function secondsUntil(second: number, nowMs: number): number {
  return Math.max(1, Math.ceil(second - nowMs / 1_000));
}
