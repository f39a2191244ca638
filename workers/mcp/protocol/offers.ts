/**
 * resources/*, prompts/* and completion/complete over what the server offers. No state: a session keeps its own subscriptions.
 * Refuses what is not there, or not the caller's, in one way (-32602 and -32002), and malformed params (-32602).
 */
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import {
  type CompleteResult,
  ErrorCode,
  type GetPromptResult,
  type ListPromptsResult,
  type ListResourcesResult,
  type ListResourceTemplatesResult,
  type ReadResourceResult,
} from "@modelcontextprotocol/sdk/types.js";
import * as z from "zod";
import type { Offers } from "../offers.ts";
import { type ContextOf, refuse, withoutCauses } from "./handling.ts";

/** Lax, as in tools.ts. */
const request = <Method extends string>(method: Method) =>
  z.object({ method: z.literal(method), params: z.unknown().optional() });

const Uri = z.looseObject({ uri: z.string().max(2_048) });
const PromptParams = z.looseObject({
  name: z.string(),
  arguments: z.record(z.string(), z.string().max(10_000)).default({}),
});
const CompleteParams = z.looseObject({
  ref: z.looseObject({ type: z.enum(["ref/prompt", "ref/resource"]), name: z.string().optional() }),
  argument: z.looseObject({ name: z.string(), value: z.string() }),
});

/** The specification's own code. */
const RESOURCE_NOT_FOUND = -32002;
const MAX_COMPLETIONS = 100;

/** Which resources a session's client wants to hear of. */
export interface Subscriptions {
  add(uri: string): void;
  remove(uri: string): void;
}

export function handleOffers(server: Server, offers: Offers, contextOf: ContextOf): void {
  handleResources(server, offers, contextOf);
  handlePrompts(server, offers, contextOf);
}

export function handleSubscriptions(server: Server, subscriptions: Subscriptions): void {
  server.setRequestHandler(
    request("resources/subscribe"),
    withoutCauses(async ({ params }) => {
      subscriptions.add(parse(Uri, params).uri);
      return {};
    }),
  );
  server.setRequestHandler(
    request("resources/unsubscribe"),
    withoutCauses(async ({ params }) => {
      subscriptions.remove(parse(Uri, params).uri);
      return {};
    }),
  );
}

function handleResources(server: Server, { resources }: Offers, contextOf: ContextOf): void {
  server.setRequestHandler(
    request("resources/list"),
    withoutCauses(async (_request, extra): Promise<ListResourcesResult> => ({
      resources: await resources.list(contextOf(extra)),
    })),
  );
  server.setRequestHandler(
    request("resources/templates/list"),
    withoutCauses(async (): Promise<ListResourceTemplatesResult> => ({ resourceTemplates: resources.templates })),
  );
  server.setRequestHandler(
    request("resources/read"),
    withoutCauses(async ({ params }, extra): Promise<ReadResourceResult> => {
      const { uri } = parse(Uri, params);
      const contents = await resources.read(uri, contextOf(extra));
      return contents ? { contents } : refuse(RESOURCE_NOT_FOUND, "Resource not found", { uri });
    }),
  );
}

function handlePrompts(server: Server, { prompts }: Offers, contextOf: ContextOf): void {
  server.setRequestHandler(
    request("prompts/list"),
    withoutCauses(async (): Promise<ListPromptsResult> => ({
      prompts: prompts.map(({ name, description, arguments: args }) => ({ name, description, arguments: args })),
    })),
  );
  server.setRequestHandler(
    request("prompts/get"),
    withoutCauses(async ({ params }, extra): Promise<GetPromptResult> => {
      const { name, arguments: args } = parse(PromptParams, params);
      const prompt = prompts.find((one) => one.name === name);
      if (prompt === undefined) return refuse(ErrorCode.InvalidParams, "Unknown prompt");
      const isMissing = prompt.arguments.some((one) => one.required && args[one.name] === undefined);
      if (isMissing) return refuse(ErrorCode.InvalidParams, "A required argument is missing");
      const messages = await prompt.get(args, contextOf(extra));
      if (messages === undefined) return refuse(ErrorCode.InvalidParams, "An argument names what is not there");
      return { description: prompt.description, messages };
    }),
  );
  server.setRequestHandler(
    request("completion/complete"),
    withoutCauses(async ({ params }): Promise<CompleteResult> => {
      const { ref, argument } = parse(CompleteParams, params);
      const prompt = ref.type === "ref/prompt" ? prompts.find((one) => one.name === ref.name) : undefined;
      if (ref.type === "ref/prompt" && !prompt) return refuse(ErrorCode.InvalidParams, "Unknown prompt");
      const values = (await prompt?.complete?.(argument.name, argument.value)) ?? [];
      const shown = values.slice(0, MAX_COMPLETIONS);
      return { completion: { values: shown, total: values.length, hasMore: values.length > shown.length } };
    }),
  );
}

function parse<T extends z.ZodType>(schema: T, params: unknown): z.output<T> {
  const parsed = schema.safeParse(params);
  return parsed.success ? parsed.data : refuse(ErrorCode.InvalidParams, "Malformed params");
}
