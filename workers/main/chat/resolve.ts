/**
 * What a chat request leaves out: filled in from the user's preferences, then from the deployment's defaults. Pure.
 * Refuses a model that is not in the registry, and one that lacks what the request needs, before anything is called.
 */
import { type ChatRequest, type ModelType, requestMessages } from "../../../contracts/chat.ts";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import {
  type Ability,
  findModel,
  type ModelEntry,
  type Models,
  lackedBy,
  requireAbilities,
  typeOf,
} from "../../../contracts/models.ts";
import { abilityFor, type SaidMessage } from "../../../contracts/parts.ts";
import type { ResolvedChat } from "../../../contracts/session.ts";
import type { Preferences } from "../../../contracts/users.ts";

export interface ChatDefaults {
  models: Models;
  model: string;
  modelType: ModelType;
  temperature: number | undefined;
  maxTokens: number | undefined;
  /** Tokens of a session that a model is shown. */
  contextTokens: number;
}

/** Text of more characters than this does not fit into a token on average, in any language. */
const MOST_CHARS_A_TOKEN = 8;
/** Left for the answer where nobody says how long it may be. */
const ANSWER_TOKENS = 1_024;

/** `said`: in place of the request's own messages, where something is attached to them. */
export function resolveChat(
  request: ChatRequest,
  preferences: Preferences,
  defaults: ChatDefaults,
  said: SaidMessage[] = requestMessages(request),
): Result<ResolvedChat> {
  const { models } = defaults;
  const model = request.model ?? preferences.default_model ?? defaults.model;
  const found = findModel(models, model);
  if (!found.ok) return found;
  const entry = found.value;
  const served = whoServes(entry, request, defaults);
  const lacked = lackedBy(models, model, served.onlyType);
  const able = requireAbilities(lacked, neededBy(request, said));
  const refused = able.ok ? refuse(entry, request, said, models) : able;
  if (!refused.ok) return refused;
  const maxTokens = request.max_tokens ?? preferences.max_tokens ?? defaults.maxTokens;
  return ok({
    request: callsTools(entry) ? request : { ...request, tools: "none" },
    model,
    ...served,
    temperature: request.temperature ?? preferences.default_temperature ?? defaults.temperature,
    maxTokens,
    contextTokens: Math.min(defaults.contextTokens, windowFor(entry, maxTokens)),
    disabledTools: preferences.disabled_tools,
  });
}

function refuse(entry: ModelEntry, request: ChatRequest, said: SaidMessage[], models: Models): Result<undefined> {
  const { routes, context_window: window } = entry;
  const wanted = request.model_type;
  if (wanted && routes && !routes.some(({ provider }) => typeOf(models, provider) === wanted)) {
    return fail("model_not_found", `no provider of the type ${wanted} serves this model`);
  }
  const chars = said.reduce((sum, { content }) => sum + content.length, 0);
  if (window !== undefined && chars > window * MOST_CHARS_A_TOKEN) {
    return fail("context_length_exceeded", "the message is longer than the model's context");
  }
  return ok(undefined);
}

/** Tools that are offered because nobody forbids them are no need. */
function neededBy({ tools, response_format: format }: ChatRequest, said: SaidMessage[]): Ability[] {
  return [
    "chat",
    ...(Array.isArray(tools) ? ["tools" as const] : []),
    ...(format?.type === "json_schema" ? ["json_schema" as const] : []),
    ...said.flatMap(({ attachments = [] }) => attachments.flatMap((one) => abilityFor(one) ?? [])),
  ];
}

function callsTools({ abilities }: ModelEntry): boolean {
  return abilities?.includes("tools") ?? true;
}

/** Of a model with routes of its own a request need not know the provider's type, but may ask for one. */
function whoServes({ routes }: ModelEntry, { model_type: wanted }: ChatRequest, { models, modelType }: ChatDefaults) {
  const first = routes?.[0];
  if (first === undefined) return { modelType: wanted ?? modelType, onlyType: wanted ?? modelType };
  return { modelType: wanted ?? typeOf(models, first.provider), ...(wanted && { onlyType: wanted }) };
}

function windowFor({ context_window: window }: ModelEntry, maxTokens = ANSWER_TOKENS): number {
  if (window === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(window - maxTokens, Math.floor(window / 4));
}
