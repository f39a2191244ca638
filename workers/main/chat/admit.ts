/**
 * Who may ask a model directly: the account is asked once, for the credential and for the user's limits together, and told at the end what
 * the call took. No state. Refuses what the account refuses, whatever else is wrong with the request.
 */
import type { Admitted, Credential } from "../../../contracts/accounts.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
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

export interface Asked {
  credential: Credential;
  requestId: string;
  /** What is believed of them here; the account knows. */
  preferences: Preferences;
  /** What is asked of the model, with the user's preferences. */
  plan(preferences: Preferences): Result<ModelRequest>;
}

/** A call that is counted. Only here is one made. */
export interface AdmittedCall {
  request: ModelRequest;
  limits: LimitState;
  /** Once, however it ends. */
  settle(end: Pick<DirectEnd, "model" | "provider" | "usage">): void;
  /** In its place: no model is asked after all. */
  release(): void;
}

export async function admitDirect(asked: Asked, deps: AdmitDeps): Promise<Result<AdmittedCall>> {
  const { credential, requestId, preferences, plan } = asked;
  const guessed = plan(preferences);
  const reservation = estimate(requestId, guessed.ok ? guessed.value : undefined);
  const admitted = await deps.accounts.admit(credential, { reservation });
  if (!admitted.ok) return admitted;
  const settle: AdmittedCall["settle"] = ({ model, provider = null, usage }) => {
    const record = { id: requestId, kind: "direct", sessionId: null, turnId: null, provider } as const;
    deps.waitUntil(deps.accounts.settle(credential.userId, { reservationId: requestId, model, usage, record }));
  };
  const { limits } = admitted.value;
  const request = judge(admitted.value, asked, guessed);
  const release = (): void => settle({ model: "", provider: undefined, usage: NO_USAGE });
  if (request.ok) return ok({ request: request.value, limits, settle, release });
  release();
  return { ok: false, error: { ...request.error, limits } };
}

/** What is asked, with the preferences that the account knows. */
function judge({ scopes, preferences }: Admitted, asked: Asked, guessed: Result<ModelRequest>): Result<ModelRequest> {
  if (!scopes.includes(SCOPE)) return fail("forbidden", `this needs an API key with the scope ${SCOPE}`);
  const isRight = JSON.stringify(preferences) === JSON.stringify(asked.preferences);
  return isRight ? guessed : asked.plan(preferences);
}

/** Nothing is known of what cannot be asked. */
function estimate(id: string, request: ModelRequest | undefined): Reservation {
  if (request === undefined) return { id, model: "", promptTokens: 0, answerTokens: 0 };
  const { prompt_tokens: promptTokens } = estimateUsage(request, "");
  return { id, model: request.model, promptTokens, answerTokens: request.maxTokens ?? ANSWER_TOKENS, isOnItsOwn: true };
}
