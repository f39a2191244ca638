/**
 * The gate of a live turn at which it waits for a person. What is asked and what is answered are durable before anyone is told,
 * so waiting outlives this object's memory. Refuses answers to what was not asked, and half answers.
 */
import type { Approval, Decision } from "../../../contracts/approvals.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { ToolCall } from "../../../contracts/tools.ts";
import type { TurnLog } from "./log.ts";
import { writeApproval } from "./turns.ts";

export class ApprovalGate {
  readonly #storage: DurableObjectStorage;
  readonly #turnId: string;
  readonly #log: TurnLog;
  #asked: Approval | undefined;
  #inherited: Approval | undefined;
  readonly #firstAsked = Promise.withResolvers<void>();
  #answered = Promise.withResolvers<Decision[]>();

  /** `asked`: what an earlier life of the turn waits for. */
  constructor(storage: DurableObjectStorage, turnId: string, log: TurnLog, asked?: Approval) {
    this.#storage = storage;
    this.#turnId = turnId;
    this.#log = log;
    this.#asked = asked;
    this.#inherited = asked;
    if (this.expiresAtMs !== undefined) this.#firstAsked.resolve();
  }

  /** Settles when the turn first waits for a person. */
  get asking(): Promise<void> {
    return this.#firstAsked.promise;
  }

  /** When the wait ends by itself; undefined while nothing is asked. */
  get expiresAtMs(): number | undefined {
    return this.#asked?.decisions === undefined ? this.#asked?.expiresAtMs : undefined;
  }

  /** Asks, unless an earlier life of the turn has, and waits for the answer or the turn's end. */
  async ask(calls: ToolCall[], expiresAtMs: number, signal: AbortSignal): Promise<Decision[]> {
    const inherited = this.#inherited;
    this.#inherited = undefined;
    if (inherited?.decisions) return inherited.decisions;
    if (inherited === undefined) await this.#put({ calls, expiresAtMs });
    const stop = (): void => this.#answered.reject(new AppError("cancelled", "the turn was stopped"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    return this.#answered.promise.finally(() => signal.removeEventListener("abort", stop));
  }

  /** Takes the answer. Every call that was asked about needs one. */
  answer(decisions: Decision[]): void {
    const asked = this.#asked;
    if (asked === undefined || asked.decisions) throw new AppError("conflict", "the turn waits for no approval");
    const answered = decisions.map((decision) => decision.call_id).toSorted();
    const needed = asked.calls.map((call) => call.id).toSorted();
    if (answered.join("\n") !== needed.join("\n")) {
      throw new AppError("invalid_request", "decide on each call that was asked about, once", {
        details: { call_ids: needed },
      });
    }
    this.#asked = { ...asked, decisions };
    writeApproval(this.#storage.sql, this.#turnId, "running", this.#asked);
    this.#answered.resolve(decisions);
  }

  /** Nobody answered in time. */
  expire(): void {
    const calls = this.#asked?.calls ?? [];
    this.answer(calls.map((call) => ({ call_id: call.id, decision: "reject", reason: "nobody answered in time" })));
  }

  async #put(asked: Approval): Promise<void> {
    this.#asked = asked;
    this.#answered = Promise.withResolvers<Decision[]>();
    const expires_at = new Date(asked.expiresAtMs).toISOString();
    this.#storage.transactionSync(() => {
      this.#log.append({ event: "approval_required", data: { calls: asked.calls, expires_at } });
      this.#log.save();
      writeApproval(this.#storage.sql, this.#turnId, "waiting", asked);
    });
    this.#firstAsked.resolve();
    await this.#storage.setAlarm(asked.expiresAtMs);
  }
}
