/**
 * What every request handler shares: who asks, and errors whose text is ours. No state. The SDK would send a thrown error's own message.
 */
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import { ErrorCode, McpError, type ServerNotification, type ServerRequest } from "@modelcontextprotocol/sdk/types.js";
import type { ToolContext } from "../tools/tool.ts";

export type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

/** Who asks, and what a call is given besides its arguments. */
export type ContextOf = (extra: Extra) => ToolContext;

/** Answers with an error of the protocol. */
export function refuse(code: number, message: string, data?: unknown): never {
  throw new McpError(code, message, data);
}

/** The handler, with every error that is not one of `refuse` made dull. */
export function withoutCauses<Request, Answer>(
  handle: (request: Request, extra: Extra) => Promise<Answer>,
): (request: Request, extra: Extra) => Promise<Answer> {
  return (request, extra) =>
    handle(request, extra).catch((error: unknown) => {
      throw error instanceof McpError ? error : new McpError(ErrorCode.InternalError, "Internal error");
    });
}
