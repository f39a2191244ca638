/**
 * A session's client as a tool may speak to it: each message goes out on the connection that waits for the call. No state.
 * Whatever the client refuses or cannot do is told as undefined; a client that does not answer leaves the tool to its time limit.
 */
import type { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { type Client, LOG_LEVELS, type LogLevel } from "../tools/client.ts";
import type { Extra } from "./server.ts";

/** What a session knows of its client's wishes. */
export interface Wishes {
  /** The lowest level that is told; undefined: all. */
  level(): LogLevel | undefined;
  isSubscribed(uri: string): boolean;
}

/** Longer than any tool may take. */
const ANSWER_TIMEOUT_MS = 600_000;

export function createClient(server: Server, extra: Extra, wishes: Wishes): Client {
  const can = server.getClientCapabilities() ?? {};
  const options = { relatedRequestId: extra.requestId, signal: extra.signal, timeout: ANSWER_TIMEOUT_MS };
  return {
    async log(level, text) {
      const lowest = wishes.level();
      if (lowest !== undefined && LOG_LEVELS.indexOf(level) < LOG_LEVELS.indexOf(lowest)) return;
      await extra.sendNotification({ method: "notifications/message", params: { level, data: text } });
    },
    async progress(done, total) {
      const progressToken = extra._meta?.progressToken;
      if (progressToken === undefined) return;
      const params = { progressToken, progress: done, total };
      await extra.sendNotification({ method: "notifications/progress", params });
    },
    async sample({ text, maxTokens }) {
      if (!can.sampling) return undefined;
      const messages = [{ role: "user" as const, content: { type: "text" as const, text } }];
      const { content } = await server.createMessage({ messages, maxTokens }, options);
      return content.type === "text" ? content.text : undefined;
    },
    async elicit({ message, schema }) {
      if (!can.elicitation?.form) return undefined;
      const requestedSchema = schema as ElicitedSchema; // of a tool's own making
      const { action, content } = await server.elicitInput({ mode: "form", message, requestedSchema }, options);
      return { action, content };
    },
    hangUp: () => extra.closeSSEStream?.(),
    async resourceChanged(uri) {
      if (wishes.isSubscribed(uri)) await server.sendResourceUpdated({ uri });
    },
  };
}

type ElicitedSchema = Extract<Parameters<Server["elicitInput"]>[0], { requestedSchema: unknown }>["requestedSchema"];
