/**
 * resources/*, prompts/* and completion/complete over what the server offers. No state.
 * Refuses what is not there, or not the caller's, in one way, and malformed params (-32602).
 */
import * as z from "zod";
import type { Offers } from "../offers.ts";
import { INVALID_PARAMS, type Methods, parse, refuse } from "./handling.ts";

export const Uri = z.looseObject({ uri: z.string().max(2_048) });
const PromptParams = z.looseObject({
  name: z.string(),
  arguments: z.record(z.string(), z.string().max(10_000)).default({}),
});
const CompleteParams = z.looseObject({
  ref: z.looseObject({ type: z.enum(["ref/prompt", "ref/resource"]), name: z.string().optional() }),
  argument: z.looseObject({ name: z.string(), value: z.string() }),
});

const MAX_COMPLETIONS = 100;

/** A revision's own code for a resource that is not there. */
export function offerMethods({ resources, prompts }: Offers, resourceNotFound: number): Methods {
  return { ...resourceMethods(resources, resourceNotFound), ...promptMethods(prompts) };
}

function resourceMethods(resources: Offers["resources"], notFound: number): Methods {
  return {
    "resources/list": async (_params, context) => ({ resources: await resources.list(context) }),
    "resources/templates/list": async () => ({ resourceTemplates: resources.templates }),
    async "resources/read"(params, context) {
      const { uri } = parse(Uri, params);
      const contents = await resources.read(uri, context);
      return contents ? { contents } : refuse(notFound, "Resource not found", { uri });
    },
  };
}

function promptMethods(prompts: Offers["prompts"]): Methods {
  return {
    "prompts/list": async () => ({
      prompts: prompts.map(({ name, description, arguments: args }) => ({ name, description, arguments: args })),
    }),
    async "prompts/get"(params, context) {
      const { name, arguments: args } = parse(PromptParams, params);
      const prompt = prompts.find((one) => one.name === name);
      if (prompt === undefined) return refuse(INVALID_PARAMS, "Unknown prompt");
      const isMissing = prompt.arguments.some((one) => one.required && args[one.name] === undefined);
      if (isMissing) return refuse(INVALID_PARAMS, "A required argument is missing");
      const messages = await prompt.get(args, context);
      if (messages === undefined) return refuse(INVALID_PARAMS, "An argument names what is not there");
      return { description: prompt.description, messages };
    },
    async "completion/complete"(params) {
      const { ref, argument } = parse(CompleteParams, params);
      const prompt = ref.type === "ref/prompt" ? prompts.find((one) => one.name === ref.name) : undefined;
      if (ref.type === "ref/prompt" && !prompt) return refuse(INVALID_PARAMS, "Unknown prompt");
      const values = (await prompt?.complete?.(argument.name, argument.value)) ?? [];
      const shown = values.slice(0, MAX_COMPLETIONS);
      return { completion: { values: shown, total: values.length, hasMore: values.length > shown.length } };
    },
  };
}
