/**
 * Who may ask a model directly: the account is asked once, for the credential and for the user's limits together, and told at the end what
 * the call took. No state. Refuses what the account refuses, whatever else is wrong with the request.
 */
import type { Admitted, Credential } from "../../../contracts/accounts.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { UsageKind } from "../../../contracts/ledger.ts";
import type { LimitState, Reservation } from "../../../contracts/limits.ts";
import type { ModelRequest } from "../../../contracts/llm.ts";
import { estimateUsage, NO_USAGE } from "../../../contracts/rounds.ts";
import type { Preferences, Scope } from "../../../contracts/users.ts";
import type { Accounts } from "../accounts/client.ts";
import type { DirectEnd } from "./direct-call.ts";

/** Of an answer whose length nobody limits. */
const ANSWER_TOKENS = 1_024;
const SCOPE: Scope = "chat";

export interface AdmitDeps {
  accounts: Accounts;
  /** What goes on when the reply is out. */
  waitUntil(work: Promise<unknown>): void;
}

export interface Asked<R = ModelRequest> {
  credential: Credential;
  requestId: string;
  /** What is believed of them here; the account knows. */
  preferences: Preferences;
  /** What is asked of the model, with the user's preferences. */
  plan(preferences: Preferences): Result<R>;
}

/** What a call will take, as far as it can be told. */
export type Weigh<R> = (request: R) => Pick<Reservation, "model" | "promptTokens" | "answerTokens">;

/** A call that is counted. Only here is one made. */
export interface AdmittedCall<R = ModelRequest> {
  request: R;
  limits: LimitState;
  /** Once, however it ends. */
  settle(end: Pick<DirectEnd, "model" | "provider" | "usage">): void;
  /** In its place: no model is asked after all. */
  release(): void;
  /** Work without which it cannot be settled goes on when its client has left; what goes wrong in it is told elsewhere. */
  hold(work: Promise<unknown>): void;
}

/** A model that is asked for words. */
export function admitDirect(asked: Asked, deps: AdmitDeps): Promise<Result<AdmittedCall>> {
  return admitCall(asked, { kind: "direct", weigh }, deps);
}

export async function admitCall<R>(
  asked: Asked<R>,
  { kind, weigh }: { kind: UsageKind; weigh: Weigh<R> },
  deps: AdmitDeps,
): Promise<Result<AdmittedCall<R>>> {
  const { credential, requestId, preferences, plan } = asked;
  const guessed = plan(preferences);
  const weight = guessed.ok ? { ...weigh(guessed.value), aloneAs: kind } : UNKNOWN;
  const reservation = { id: requestId, ...weight };
  const admitted = await deps.accounts.admit(credential, { reservation });
  if (!admitted.ok) return admitted;
  const settle: AdmittedCall["settle"] = ({ model, provider = null, usage }) => {
    const record = { id: requestId, kind, sessionId: null, turnId: null, provider };
    deps.waitUntil(deps.accounts.settle(credential.userId, { reservationId: requestId, model, usage, record }));
  };
  const { limits } = admitted.value;
  const request = judge(admitted.value, asked, guessed);
  const release = (): void => settle({ model: "", provider: undefined, usage: NO_USAGE });
  const hold = (work: Promise<unknown>): void => deps.waitUntil(work.catch(() => undefined));
  if (request.ok) return ok({ request: request.value, limits, settle, release, hold });
  release();
  return { ok: false, error: { ...request.error, limits } };
}

/** What is asked, with the preferences that the account knows. */
function judge<R>({ scopes, preferences }: Admitted, asked: Asked<R>, guessed: Result<R>): Result<R> {
  if (!scopes.includes(SCOPE)) return fail("forbidden", `this needs an API key with the scope ${SCOPE}`);
  const isRight = JSON.stringify(preferences) === JSON.stringify(asked.preferences);
  return isRight ? guessed : asked.plan(preferences);
}

/** Of what cannot be asked. */
const UNKNOWN = { model: "", promptTokens: 0, answerTokens: 0 };

const weigh: Weigh<ModelRequest> = (request) => {
  const { prompt_tokens: promptTokens } = estimateUsage(request, "");
  return { model: request.model, promptTokens, answerTokens: request.maxTokens ?? ANSWER_TOKENS };
};
