/**
 * Our methods on the SDK's server of revision 2025-11-25 and older, made for one request or for one session.
 * State: what the SDK keeps of its client. Refuses what the methods refuse; of any other error its client is told no cause.
 */
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import { McpError, type ServerNotification, type ServerRequest } from "@modelcontextprotocol/sdk/types.js";
import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/cfworker";
import * as z from "zod";
import type { Offers } from "../offers.ts";
import { LOG_LEVELS, type LogLevel } from "../tools/client.ts";
import type { Caller, ToolContext } from "../tools/tool.ts";
import { INVALID_PARAMS, type Methods, parse, refuse, toRefusal } from "./handling.ts";
import { offerMethods, Uri } from "./offers.ts";
import { toolMethods, type ToolParts } from "./tools.ts";

export const INFO = { name: "basechat", version: "1.0.0" };
/** This revision's own code. */
const RESOURCE_NOT_FOUND = -32002;

export type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;
/** Who asks, and what a call is given besides its arguments. */
export type ContextOf = (extra: Extra) => ToolContext;

export interface ServerParts extends ToolParts {
  offers: Offers;
}

/** For one request: nothing can be told unasked. */
export function createServer(parts: ServerParts, contextOf: ContextOf): Server {
  const capabilities = { tools: {}, resources: {}, prompts: {}, completions: {} };
  const server = new Server(INFO, { capabilities, jsonSchemaValidator: new CfWorkerJsonSchemaValidator() });
  register(server, { ...toolMethods(parts), ...offerMethods(parts.offers, RESOURCE_NOT_FOUND) }, contextOf);
  return server;
}

/** What a session keeps of its client's wishes: resources to hear of, and the lowest level of log lines. */
export interface SessionWishes {
  /** False: there are too many. */
  add(uri: string, caller: Caller): Promise<boolean>;
  remove(uri: string): void;
  setLevel(level: LogLevel): void;
}

const SetLevel = z.object({
  method: z.literal("logging/setLevel"),
  params: z.looseObject({ level: z.enum(LOG_LEVELS) }),
});

export function createSessionServer(parts: ServerParts, contextOf: ContextOf, wishes: SessionWishes): Server {
  const capabilities = {
    ...{ tools: { listChanged: true }, resources: { subscribe: true }, prompts: {}, completions: {}, logging: {} },
  };
  const server = new Server(INFO, { capabilities, jsonSchemaValidator: new CfWorkerJsonSchemaValidator() });
  const methods = {
    ...{ ...toolMethods(parts), ...offerMethods(parts.offers, RESOURCE_NOT_FOUND) },
    ...subscriptionMethods(wishes),
  };
  register(server, methods, contextOf);
  server.setRequestHandler(SetLevel, async ({ params }) => {
    wishes.setLevel(params.level);
    return {};
  });
  return server;
}

function subscriptionMethods(wishes: SessionWishes): Methods {
  return {
    async "resources/subscribe"(params, context) {
      return (await wishes.add(parse(Uri, params).uri, context))
        ? {}
        : refuse(INVALID_PARAMS, "Too many subscriptions");
    },
    async "resources/unsubscribe"(params) {
      wishes.remove(parse(Uri, params).uri);
      return {};
    },
  };
}

/** The schemas are lax on purpose: the SDK would answer -32603 with its own text where a request's params do not fit. */
function register(server: Server, methods: Methods, contextOf: ContextOf): void {
  for (const [name, method] of Object.entries(methods)) {
    const request = z.object({ method: z.literal(name), params: z.unknown().optional() });
    server.setRequestHandler(request, async ({ params }, extra) => {
      try {
        return await method(params, contextOf(extra));
      } catch (error) {
        const { code, message, data } = toRefusal(error);
        throw new McpError(code, message, data);
      }
    });
  }
}
