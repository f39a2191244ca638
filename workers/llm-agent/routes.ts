/**
 * Who can serve a request: the routes of its model, in order, each with its nodes. Pure.
 * Refuses an unknown model, and one whose every provider lacks a setting, before anything is called.
 */
import { fail, ok, type Result } from "../../contracts/errors.ts";
import type { ModelRequest } from "../../contracts/llm.ts";
import { findModel, typeOf } from "../../contracts/models.ts";
import { abilityFor } from "../../contracts/parts.ts";
import type { Config } from "./env.ts";
import { type Endpoint, endpointsOf } from "./provider.ts";

export interface ModelRoute {
  provider: string;
  /** The provider's name for the model. */
  model: string;
  endpoints: Endpoint[];
}

/** What of a request decides who serves it. */
export type Routed = Pick<ModelRequest, "model" | "modelType" | "avoid"> & Partial<Pick<ModelRequest, "messages">>;

export function routesFor(config: Config, request: Routed): Result<ModelRoute[]> {
  const { model, modelType } = request;
  const found = findModel(config.MODELS, model);
  if (!found.ok) return found;
  if (found.value.routes === undefined && modelType === undefined && config.malformed.includes("LLM_TYPE")) {
    return fail("not_configured", "the model provider is not configured: LLM_TYPE");
  }
  const routes = (found.value.routes ?? [{ provider: modelType ?? config.LLM_TYPE }]).filter(
    ({ provider }) => modelType === undefined || typeOf(config.MODELS, provider) === modelType,
  );
  const made = routes.map((route): Result<ModelRoute> => {
    const endpoints = endpointsOf(config, route.provider);
    if (!endpoints.ok) return endpoints;
    return ok({ provider: route.provider, model: route.model ?? model, endpoints: endpoints.value });
  });
  const usable = made.flatMap((route) => (route.ok ? [route.value] : []));
  const fit = hasFileParts(request) ? usable.filter(takesFileParts) : usable;
  if (fit.length > 0) return ok(fit);
  if (usable.length > 0) {
    return fail("unsupported_modality", "no provider of the model takes such files", { details: { ability: "files" } });
  }
  const [error] = made.flatMap((route) => (route.ok ? [] : [route.error]));
  return error === undefined
    ? fail("model_not_found", `no provider of the type ${modelType} serves this model`)
    : { ok: false, error };
}

function hasFileParts({ messages = [] }: Routed): boolean {
  return messages.some((one) => one.role === "user" && one.attachments?.some((file) => abilityFor(file) === "files"));
}

/** All nodes of a provider are alike. */
function takesFileParts({ endpoints }: ModelRoute): boolean {
  return endpoints.every(({ quirks }) => quirks.file_parts);
}
