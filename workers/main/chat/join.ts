/**
 * How a turn comes to its answer besides the cache: it looks whether another one makes the same answer now, and follows that, or leads.
 * State: the turn's flight. The question who leads goes out with the look-up in the cache and is waited for beside it.
 */
import type { CacheNote, TurnDeps, TurnOutcome, TurnRun } from "./turn.ts";
import type { TurnRequest } from "./turn-request.ts";
import { TurnFlight } from "./flight.ts";
import { follow, type Followed } from "./follow.ts";
import { type Found, lookUp, type TurnSlots, tokensOf } from "./reuse.ts";
import type { Member, Place } from "../flights/flight.ts";
import type { Looked } from "../cache/counts.ts";

/** After so many leaders that have gone a turn relies on itself. */
const MAX_LEADERS = 3;
/** A leader knows whether it leads when it has looked into the cache; an object that hangs never says so. */
const HANDSHAKE_MS = 2_000;

/** What a turn begins with. */
export interface Entry {
  found: Found;
  flight: TurnFlight | undefined;
  /** Another turn makes the same answer now. */
  joined: Joined | undefined;
}

export interface Joined {
  leader: Member;
  events: ReadableStream;
}

/** The key says whose the answer is, so nobody else's turn is met. A later turn has a history, and nobody has the same now. */
export function openFlight(deps: TurnDeps, request: TurnRequest, slots: TurnSlots): TurnFlight | undefined {
  const { read, write, onlyIfCached } = request.cache;
  if (deps.flights === undefined || request.resumed || !read || !write || onlyIfCached) return undefined;
  if (!request.firstTurn) return undefined;
  return new TurnFlight(deps.flights, slots.answer.key, request);
}

export async function enter(
  deps: TurnDeps,
  request: TurnRequest,
  { slots, flight, lookup }: { slots: TurnSlots; flight: TurnFlight | undefined; lookup: Promise<Found> },
): Promise<Entry> {
  const first = await seekSimilar(deps, request, { slots, found: await lookup });
  if (flight === undefined || !isMiss(first)) {
    flight?.standAside();
    return { found: first, flight, joined: undefined };
  }
  const place = await flight.place(deps.placeTimeoutMs);
  // Rare: whoever led before has landed since the cache was asked.
  const found = place.leads && place.recheck ? { ...first, ...(await lookUp(deps.cache, slots, request)) } : first;
  if (!isMiss(found)) {
    flight.standAside();
    return { found, flight, joined: undefined };
  }
  const joined = await board(deps, flight, { place, since: found.since, requestId: request.requestId });
  flight.hold(joined?.events);
  return { found, flight, joined };
}

export function noteOf({ found: { answer }, joined }: Entry): CacheNote {
  if (joined !== undefined) return { verdict: "hit", why: "joined" };
  const { verdict } = answer;
  if (verdict !== "hit") return { verdict, why: answer.why };
  return { verdict, ageSeconds: answer.ageSeconds, ...(answer.isSimilar && { why: "similar" }) };
}

/** Behind a miss: the answer to another wording of the question, or else by what this one's is to be found. */
async function seekSimilar(
  { semantic }: TurnDeps,
  { requestId, userId, cache }: TurnRequest,
  { slots, found }: { slots: TurnSlots; found: Found },
): Promise<Found> {
  if (semantic === undefined || !isMiss(found)) return found;
  const { hit, meaning } = await semantic.seek(slots.answer, { requestId, userId }, cache.maxAgeSeconds);
  return { ...found, ...(hit && { answer: hit }), meaning };
}

/** The outcome of the turn that made the answer; undefined when this turn must make it, and leads if it still can. */
export async function joinLeader(run: TurnRun, { found, flight, joined }: Entry): Promise<Followed | undefined> {
  const { since } = found;
  if (flight === undefined || since === undefined) return undefined;
  let current = joined;
  for (let leaders = 0; current !== undefined && leaders < MAX_LEADERS; leaders += 1) {
    const followed = await follow(run, current.events);
    if (followed.end.kind === "alone") break;
    if (followed.end.kind !== "lost") {
      flight.standAside();
      return followed;
    }
    const place = await flight.placeAfter(current.leader, run.deps.joinTimeoutMs);
    current = await board(run.deps, flight, { place, since, requestId: run.request.requestId });
  }
  flight.standAside();
  return undefined;
}

/** The turn to follow; undefined when this one leads, or goes its own way. */
async function board(
  deps: TurnDeps,
  flight: TurnFlight,
  at: { place: Place; since: number; requestId: string },
): Promise<Joined | undefined> {
  const { since, requestId } = at;
  let { place } = at;
  for (let leaders = 0; leaders < MAX_LEADERS; leaders += 1) {
    if (place.leads) {
      flight.lead(since);
      return undefined;
    }
    const { leader } = place;
    const events = await flight.follow(leader, { since, requestId, timeoutMs: deps.placeTimeoutMs + HANDSHAKE_MS });
    if (events === "late") break;
    if (events !== undefined) return { leader, events };
    // It makes no answer for others, or not since the same count of purges.
    place = await flight.placeAfter(leader, deps.placeTimeoutMs);
  }
  flight.standAside();
  return undefined;
}

/** What a joined turn has saved: everything but time. */
export function countJoined({ model, usage, rounds }: TurnOutcome): Looked {
  const saves = { calls: rounds.length + 1, ms: 0, tokens: tokensOf(model, usage) };
  return { layer: "llm", joined: saves };
}

function isMiss(found: Found): found is Found & { since: number } {
  return found.answer.verdict === "miss" && found.since !== undefined;
}
