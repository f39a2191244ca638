/**
 * What a user's calls of models take, as the account's object keeps it: limits, and records that the ledger is owed. State: what was spent, in
 * memory and in one row of the object's storage, written with each call's begin and end and waited for by nobody; the records are rows (owed.ts).
 * Whatever keeps that row from being read lets no call begin.
 */
import type { Usage } from "../../../contracts/chat.ts";
import { fail, type Result } from "../../../contracts/errors.ts";
import type { Ledger, Settlement } from "../../../contracts/ledger.ts";
import type { LimitState, Reservation } from "../../../contracts/limits.ts";
import { costUsd, type ModelPrices } from "../../../contracts/prices.ts";
import * as limits from "./limits.ts";
import { owe, payOwed } from "./owed.ts";

const KEY = "spent";
const RETRY_AFTER_SECONDS = 2;
/** So long records are gathered for one request to Postgres. */
const GATHER_MS = 2_000;
const RETRY_MS = 10_000;

export interface SpendingDeps {
  limits: limits.LimitSettings;
  prices: ModelPrices;
  ledger: Ledger;
  now: () => number;
}

export class Spending {
  readonly #storage: DurableObjectStorage;
  readonly #deps: SpendingDeps;
  #loading: Promise<limits.Spent> | undefined;

  constructor(storage: DurableObjectStorage, deps: SpendingDeps) {
    this.#storage = storage;
    this.#deps = deps;
  }

  /** Counts a call that is about to begin, or refuses it. */
  async reserve(userId: string, reservation: Reservation): Promise<Result<LimitState>> {
    const spent = await this.#load().catch(() => undefined);
    if (spent === undefined) {
      return fail("overloaded", "the limits cannot be checked now", { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    if (this.#noteLost(userId, spent)) await this.#wakeIn(GATHER_MS);
    const { id, model, promptTokens, answerTokens, aloneAs: kind } = reservation;
    const amount = this.#amountOf(model, toUsage(promptTokens, answerTokens));
    const alone = kind && { kind, model, promptTokens, answerTokens };
    const verdict = limits.reserve(spent, this.#deps.limits, { id, ...amount, alone }, this.#deps.now());
    if (!verdict.ok) return verdict;
    this.#save(spent);
    if (alone) await this.#wakeIn(limits.LOST_AFTER_MS);
    return verdict;
  }

  async settle(userId: string, settlement: Settlement): Promise<void> {
    const { model, usage } = settlement;
    const spent = await this.#load();
    const amount = this.#amountOf(model, usage);
    if (settlement.reservationId !== undefined) limits.settle(spent, settlement.reservationId, amount);
    else limits.add(spent, settlement.record.id, amount, this.#deps.now());
    this.#save(spent);
    if (this.#note(userId, settlement)) await this.#wakeIn(GATHER_MS);
  }

  async wait(id: string, waits: boolean): Promise<void> {
    const spent = await this.#load();
    limits.wait(spent, id, waits, this.#deps.now());
    this.#save(spent);
  }

  /** Brings to Postgres what the ledger is owed; what cannot be brought now is tried again. */
  async pay(userId: string): Promise<void> {
    const spent = await this.#load();
    this.#noteLost(userId, spent);
    const isPaid = await payOwed(this.#storage.sql, this.#deps.ledger);
    if (!isPaid) await this.#wakeIn(RETRY_MS);
    else if (spent.open.some(({ alone }) => alone !== undefined)) await this.#wakeIn(limits.LOST_AFTER_MS);
  }

  /** Calls whose end was never told, and that nobody else sees to, are written down as they were estimated. */
  #noteLost(userId: string, spent: limits.Spent): boolean {
    const lost = limits.takeLost(spent, this.#deps.now());
    if (lost.length > 0) this.#save(spent);
    const noted = lost.map(({ id, alone }) => {
      if (alone === undefined) return false;
      const { kind = "direct", promptTokens, answerTokens } = alone;
      const usage = toUsage(promptTokens, answerTokens);
      const record = { id, kind, sessionId: null, turnId: null, provider: null } as const;
      return this.#note(userId, { model: alone.model, usage, record });
    });
    return noted.includes(true);
  }

  /** False: there is nothing to write down. */
  #note(userId: string, { model, usage, record }: Pick<Settlement, "model" | "usage" | "record">): boolean {
    if (record === undefined || usage.total_tokens === 0) return false;
    owe(this.#storage.sql, {
      ...{ ...record, userId, model, promptTokens: usage.prompt_tokens, completionTokens: usage.completion_tokens },
      costUsd: costUsd(this.#deps.prices, model, usage),
      isEstimated: usage.estimated ?? false,
      createdAtMs: this.#deps.now(),
    });
    return true;
  }

  #amountOf(model: string, usage: Usage): limits.Amount {
    return { tokens: usage.total_tokens, costUsd: costUsd(this.#deps.prices, model, usage) ?? 0 };
  }

  #load(): Promise<limits.Spent> {
    this.#loading ??= this.#read();
    return this.#loading;
  }

  async #read(): Promise<limits.Spent> {
    try {
      return (await this.#storage.get<limits.Spent>(KEY)) ?? limits.nothingSpent();
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
  }

  /** Not confirmed: a reply that waited for it would hold up the first token, and what a cut forgives is a few calls. */
  #save(spent: limits.Spent): void {
    void this.#storage.put(KEY, spent, { allowUnconfirmed: true });
  }

  /** Unless the object wakes earlier. */
  async #wakeIn(ms: number): Promise<void> {
    const atMs = this.#deps.now() + ms;
    const planned = await this.#storage.getAlarm();
    if (planned === null || planned > atMs) await this.#storage.setAlarm(atMs, { allowUnconfirmed: true });
  }
}

function toUsage(prompt_tokens: number, completion_tokens: number): Usage {
  return { prompt_tokens, completion_tokens, total_tokens: prompt_tokens + completion_tokens, estimated: true };
}
