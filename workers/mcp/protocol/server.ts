/**
 * The Model Context Protocol over our registry, runner and offers; the SDK's server, made for one request or for one session.
 * This room is the only place in the Worker that imports the SDK. State: what the SDK keeps of its client.
 */
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { CfWorkerJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/cfworker";
import * as z from "zod";
import type { Offers } from "../offers.ts";
import { LOG_LEVELS, type LogLevel } from "../tools/client.ts";
import type { ContextOf } from "./handling.ts";
import { handleOffers, handleSubscriptions, type Subscriptions } from "./offers.ts";
import { handleTools, type ToolParts } from "./tools.ts";

const INFO = { name: "basechat", version: "1.0.0" };

export interface ServerParts extends ToolParts {
  offers: Offers;
}

/** For one request: nothing can be told unasked. */
export function createServer(parts: ServerParts, contextOf: ContextOf): Server {
  const capabilities = { tools: {}, resources: {}, prompts: {}, completions: {} };
  const server = new Server(INFO, { capabilities, jsonSchemaValidator: new CfWorkerJsonSchemaValidator() });
  handleTools(server, parts, contextOf);
  handleOffers(server, parts.offers, contextOf);
  return server;
}

/** What a session keeps of its client's wishes. */
export interface SessionWishes extends Subscriptions {
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
  handleTools(server, parts, contextOf);
  handleOffers(server, parts.offers, contextOf);
  handleSubscriptions(server, wishes);
  server.setRequestHandler(SetLevel, async ({ params }) => {
    wishes.setLevel(params.level);
    return {};
  });
  return server;
}
