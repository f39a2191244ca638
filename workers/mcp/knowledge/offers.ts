/**
 * The caller's own chat sessions as resources, and a prompt that sums one up. State lives in Postgres. Somebody else's session looks like a
 * missing one, and of a long one its newest messages are given.
 */
import * as z from "zod";
import type { Offers, Prompt, Resources } from "../offers.ts";
import type { ResourceContent } from "../tools/content.ts";
import type { Caller } from "../tools/tool.ts";
import type { KnowledgeStore, OwnMessage } from "./store.ts";

const PREFIX = "basechat://sessions/";
const MIME_TYPE = "text/markdown";
const SessionId = z.uuid();
const MAX_BYTES = 256 * 1024;

export function createOffers(store: KnowledgeStore): Offers {
  const read = async (uri: string, { userId }: Caller): Promise<ResourceContent | undefined> => {
    const id = idOf(uri);
    if (id === undefined) return undefined;
    const found = await store.readSession(userId, id);
    if (!found.ok) throw new Error("the history cannot be reached"); // an error of the protocol, without these words
    return found.value && { uri, mimeType: MIME_TYPE, text: showNewest(found.value) };
  };
  return { resources: sessionResources(store, read), prompts: [summaryPrompt(read)] };
}

function idOf(uri: string): string | undefined {
  return SessionId.safeParse(uri.startsWith(PREFIX) ? uri.slice(PREFIX.length) : "").data?.toLowerCase();
}

type Read = (uri: string, caller: Caller) => Promise<ResourceContent | undefined>;

function sessionResources(store: KnowledgeStore, read: Read): Resources {
  return {
    async list({ userId }) {
      const found = await store.listSessions(userId);
      if (!found.ok) throw new Error("the history cannot be reached");
      return found.value.map(({ id, title, updatedAtMs }) => ({
        ...{ uri: PREFIX + id, name: title, mimeType: MIME_TYPE },
        description: `A chat session, last changed ${new Date(updatedAtMs).toISOString()}.`,
      }));
    },
    templates: [
      {
        ...{ uriTemplate: `${PREFIX}{session_id}`, name: "session", mimeType: MIME_TYPE },
        description: "The newest messages of one of the user's chat sessions: 200 and 256 KiB at most.",
      },
    ],
    async read(uri, caller) {
      const content = await read(uri, caller);
      return content && [content];
    },
    async changes(uris, { userId }) {
      const asked = uris.map((uri) => ({ uri, id: idOf(uri) ?? "" })).filter(({ id }) => id !== "");
      const ids = asked.map(({ id }) => id);
      const found = ids.length > 0 ? await store.readChanges(userId, ids) : undefined;
      const changes = new Map<string, number>();
      if (!found?.ok) return changes; // nothing is known: nothing to tell
      for (const { uri, id } of asked) {
        const changedAtMs = found.value.get(id);
        if (changedAtMs !== undefined) changes.set(uri, changedAtMs);
      }
      return changes;
    },
  };
}

function summaryPrompt(read: Read): Prompt {
  return {
    name: "summarize_session",
    description: "Sums up one of the user's chat sessions.",
    arguments: [{ name: "session_id", description: "The session's id.", required: true }],
    async get({ session_id: id = "" }, caller) {
      const resource = await read(PREFIX + id, caller);
      return (
        resource && [
          { role: "user", content: { type: "resource", resource } },
          {
            role: "user",
            content: { type: "text", text: "Sum up this conversation: what was asked, what was found." },
          },
        ]
      );
    },
  };
}

/** As many as fit, and how many do not. */
function showNewest(messages: OwnMessage[]): string {
  const shown: string[] = [];
  let bytes = 0;
  for (const message of messages.toReversed()) {
    const text = show(message);
    bytes += new TextEncoder().encode(text).length;
    if (bytes > MAX_BYTES) break;
    shown.unshift(text);
  }
  const leftOut = messages.length - shown.length;
  return [...(leftOut > 0 ? [`[${leftOut} older messages are left out]`] : []), ...shown].join("\n\n");
}

function show({ role, createdAtMs, content }: OwnMessage): string {
  return `**${role}** (${new Date(createdAtMs).toISOString()})\n\n${content}`;
}
