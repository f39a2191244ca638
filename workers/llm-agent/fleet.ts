/**
 * What one isolate knows of the nodes it calls: calls in flight, faults, and who said it was busy. It chooses the node of a call.
 * State: plain numbers per node, in memory; the registry bounds the nodes. Isolates share nothing: docs/decisions/0041.
 */
import type { Endpoint } from "./provider.ts";
import { rank } from "./rendezvous.ts";

/** So many faults open a node's breaker. */
const FAULTS_TO_OPEN = 3;
const SHORTEST_OPEN_MS = 5_000;
const LONGEST_OPEN_MS = 60_000;
/** A trial that never said how it went is forgotten. */
const TRIAL_MS = 60_000;
/** A call whose end was never told: its caller vanished with the runtime's word on it. */
const LONGEST_CALL_MS = 15 * 60_000;
/** A node keeps its sessions until it has this many calls, and more than its share. */
const ALWAYS_TAKEN = 4;
const SHARE_FACTOR = 1.25;
/** Retries of one provider at the node that failed: one more for every ten calls. */
const MOST_RETRIES = 10;
const RETRIES_PER_CALL = 0.1;

/** `busy` and `ill` nodes are taken only where no better one is. */
export type NodeState = "ready" | "busy" | "ill";

interface Node {
  /** When each call began. */
  calls: Map<number, number>;
  faults: number;
  /** 0: closed. */
  openUntilMs: number;
  trialUntilMs: number;
  busyUntilMs: number;
}

export interface NodeView {
  breaker: "closed" | "open" | "half_open";
  inFlight: number;
}

/** Ends the count of a call; more than once does no harm. */
export type Release = () => void;

export class Fleet {
  readonly #nodes = new Map<string, Node>();
  readonly #retries = new Map<string, number>();
  #serial = 0;

  /** The best node of this state: a session's own, unless it has more than its share; without a session the least loaded one. */
  pick(endpoints: readonly Endpoint[], state: NodeState, { key, nowMs, random }: PickOptions): Endpoint | undefined {
    const fits = endpoints.filter((endpoint) => this.#stateOf(endpoint, nowMs) === state);
    // Where none is as it should be, the calls are spread.
    if (key === undefined || state !== "ready") return this.#leastLoaded(fits, nowMs, random);
    const ranked = rank(fits, key);
    const share = this.#share(fits, nowMs);
    return ranked.find((endpoint) => this.#inFlight(endpoint, nowMs) < share(endpoint)) ?? ranked[0];
  }

  /** Whether a provider has as many calls as it may. `endpoints`: all of its nodes. */
  isFull(endpoints: readonly Endpoint[], nowMs: number): boolean {
    const calls = endpoints.reduce((sum, endpoint) => sum + this.#inFlight(endpoint, nowMs), 0);
    return calls >= (endpoints[0]?.maxCalls ?? 0);
  }

  /** Counts a call until it is released. The first call of a node that was ill is its trial. */
  take(endpoint: Endpoint, nowMs: number): Release {
    const node = this.#node(endpoint);
    const id = (this.#serial += 1);
    node.calls.set(id, nowMs);
    if (node.openUntilMs > 0 && node.openUntilMs <= nowMs) node.trialUntilMs = nowMs + TRIAL_MS;
    const left = this.#retries.get(endpoint.provider) ?? MOST_RETRIES;
    this.#retries.set(endpoint.provider, Math.min(MOST_RETRIES, left + RETRIES_PER_CALL));
    return () => void node.calls.delete(id);
  }

  /** Its first token is here. That takes back one fault only: a node may begin well each time, and break off each time. */
  began(endpoint: Endpoint): void {
    const node = this.#node(endpoint);
    const faults = Math.max(0, Math.min(node.faults, FAULTS_TO_OPEN) - 1);
    Object.assign(node, { faults, openUntilMs: 0, trialUntilMs: 0 });
  }

  /** It broke off in the middle of a reply. */
  brokeOff(endpoint: Endpoint, nowMs: number, random: number): void {
    this.#node(endpoint).faults += 1;
    this.failed(endpoint, nowMs, random);
  }

  /** `random`: 0 <= x < 1; nodes that failed together are not tried together. */
  failed(endpoint: Endpoint, nowMs: number, random: number): void {
    const node = this.#node(endpoint);
    node.faults += 1;
    node.trialUntilMs = 0;
    if (node.faults < FAULTS_TO_OPEN) return;
    const openMs = Math.min(LONGEST_OPEN_MS, SHORTEST_OPEN_MS * 2 ** (node.faults - FAULTS_TO_OPEN));
    node.openUntilMs = nowMs + openMs * (0.75 + random / 2);
  }

  /** The node said so itself. */
  busyUntil(endpoint: Endpoint, untilMs: number): void {
    const node = this.#node(endpoint);
    node.busyUntilMs = Math.max(node.busyUntilMs, untilMs);
    node.trialUntilMs = 0;
  }

  /** Whether a provider's failed call may be sent again to the same node; takes one of what is left. */
  mayRetry({ provider }: Endpoint): boolean {
    const left = this.#retries.get(provider) ?? MOST_RETRIES;
    if (left < 1) return false;
    this.#retries.set(provider, left - 1);
    return true;
  }

  /** By provider: nodes that are passed by because they failed. */
  openNodes(nowMs: number): Record<string, number> {
    const open: Record<string, number> = {};
    for (const [name, { openUntilMs }] of this.#nodes) {
      const provider = name.split(" ", 1)[0] ?? name;
      open[provider] = (open[provider] ?? 0) + Number(openUntilMs > nowMs);
    }
    return open;
  }

  view(endpoint: Endpoint, nowMs: number): NodeView {
    const { openUntilMs } = this.#node(endpoint);
    const breaker = openUntilMs === 0 ? "closed" : openUntilMs > nowMs ? "open" : "half_open";
    return { breaker, inFlight: this.#inFlight(endpoint, nowMs) };
  }

  #stateOf(endpoint: Endpoint, nowMs: number): NodeState {
    const { openUntilMs, trialUntilMs, busyUntilMs } = this.#node(endpoint);
    if (openUntilMs > nowMs || (openUntilMs > 0 && trialUntilMs > nowMs)) return "ill";
    const isFull = this.#inFlight(endpoint, nowMs) >= endpoint.maxInFlight;
    return isFull || busyUntilMs > nowMs ? "busy" : "ready";
  }

  /** How many calls each of these nodes may have before its sessions spill over: its share of all and a quarter more. */
  #share(endpoints: readonly Endpoint[], nowMs: number): (endpoint: Endpoint) => number {
    const calls = endpoints.reduce((sum, endpoint) => sum + this.#inFlight(endpoint, nowMs), 1);
    const weights = endpoints.reduce((sum, { weight }) => sum + weight, 0);
    return ({ weight }) => Math.max(ALWAYS_TAKEN, Math.ceil((SHARE_FACTOR * calls * weight) / weights));
  }

  #leastLoaded(endpoints: readonly Endpoint[], nowMs: number, random: () => number): Endpoint | undefined {
    const loads = endpoints.map((endpoint) => this.#inFlight(endpoint, nowMs) / endpoint.weight);
    const least = endpoints.filter((_, at) => loads[at] === Math.min(...loads));
    return least[Math.floor(random() * least.length)];
  }

  #inFlight(endpoint: Endpoint, nowMs: number): number {
    const { calls } = this.#node(endpoint);
    for (const [id, startedAtMs] of calls) {
      if (startedAtMs + LONGEST_CALL_MS > nowMs) break; // they are in the order of their start
      calls.delete(id);
    }
    return calls.size;
  }

  #node({ provider, baseUrl }: Endpoint): Node {
    const name = `${provider} ${baseUrl}`;
    let node = this.#nodes.get(name);
    if (node === undefined) {
      node = { calls: new Map(), faults: 0, openUntilMs: 0, trialUntilMs: 0, busyUntilMs: 0 };
      this.#nodes.set(name, node);
    }
    return node;
  }
}

export interface PickOptions {
  /** Of the session; calls of one key go to one node. */
  key: string | undefined;
  nowMs: number;
  random: () => number;
}
