/**
 * Reads `conversations.json` of a ChatGPT export: a list of conversations, each a tree of messages of which the path to the current one is
 * taken. Pure. Fields that are not needed may be anything, since others decide on them; what cannot be read is left out and counted.
 */
import * as z from "zod";
import type { ImportedMessage, ImportedSession } from "../../../contracts/archive.ts";
import { AppError } from "../../../contracts/errors.ts";
import { importedId } from "./import-ids.ts";
import { keep, type Reading, warn, type Warnings } from "./reading.ts";

const MAX_TITLE_CHARS = 1_000;
const LAST_SECOND = Date.UTC(9999, 11, 31) / 1_000;

/** Missing and null are one. */
const orNull = <T extends z.ZodType>(schema: T) => schema.nullable().default(null);
/** Seconds since 1970, with a fraction. */
const Time = orNull(z.number().min(0).max(LAST_SECOND)).catch(null);

const Message = z.object({
  id: z.string(),
  author: z.object({ role: z.enum(["user", "assistant", "system", "tool"]).catch("tool") }),
  create_time: Time,
  content: z.object({ content_type: z.string(), parts: orNull(z.array(z.unknown())) }),
  metadata: orNull(z.object({ model_slug: orNull(z.string()) })).catch(null),
});
type Message = z.infer<typeof Message>;

const Node = z.object({ message: z.unknown(), parent: orNull(z.string()) });

const Conversation = z.object({
  conversation_id: orNull(z.string()),
  id: orNull(z.string()),
  title: orNull(z.string()).catch(null),
  create_time: Time,
  update_time: Time,
  current_node: z.string(),
  default_model_slug: orNull(z.string()).catch(null),
  mapping: z.record(z.string(), Node),
});
type Conversation = z.infer<typeof Conversation>;

export function readChatGpt(file: unknown, userId: string): Reading {
  if (!Array.isArray(file)) throw new AppError("invalid_request", "the file must be a list of conversations");
  const warnings: Warnings = new Map();
  const sessions = new Map<string, ImportedSession>();
  for (const item of file) {
    const session = readConversation(item, userId, warnings);
    if (session === undefined || sessions.has(session.session.id)) warn(warnings, "sessions_left_out");
    else sessions.set(session.session.id, session);
  }
  return { sessions: [...sessions.values()], warnings };
}

function readConversation(item: unknown, userId: string, warnings: Warnings): ImportedSession | undefined {
  const conversation = Conversation.safeParse(item).data;
  const sourceId = conversation?.conversation_id ?? conversation?.id ?? null;
  if (conversation === undefined || sourceId === null) return undefined;
  const path = pathOf(conversation).flatMap((message) => readMessage(message, warnings) ?? []);
  const [first] = path;
  if (first === undefined) return undefined;
  const { update_time: updated, create_time: created } = conversation;
  const createdAtMs = toMs(created ?? first.seconds ?? 0);
  const messages: ImportedMessage[] = [];
  for (const { sourceMessageId, seconds, ...rest } of path) {
    const previous = messages.at(-1);
    const atMs = seconds === null ? (previous?.createdAtMs ?? createdAtMs) : toMs(seconds);
    messages.push({
      id: importedId(atMs, userId, "chatgpt", sourceId, sourceMessageId),
      ...{ seq: messages.length + 1, parentId: previous?.id ?? null, status: "complete", createdAtMs: atMs },
      ...rest,
    });
  }
  return {
    session: {
      id: importedId(createdAtMs, userId, "chatgpt", sourceId),
      title: keep(conversation.title ?? first.content.slice(0, MAX_TITLE_CHARS), warnings, MAX_TITLE_CHARS),
      modelType: null,
      modelName: conversation.default_model_slug && keep(conversation.default_model_slug, warnings, MAX_TITLE_CHARS),
      isActive: true,
      createdAtMs,
      updatedAtMs: updated === null ? (messages.at(-1)?.createdAtMs ?? createdAtMs) : toMs(updated),
    },
    messages,
    source: "chatgpt",
    copyOf: undefined,
  };
}

/** The messages from the first one to the current one. */
function pathOf({ mapping, current_node: leaf }: Conversation): unknown[] {
  const path: unknown[] = [];
  const seen = new Set<string>();
  let id: string | null = leaf;
  while (id !== null && !seen.has(id)) {
    seen.add(id);
    const node: z.infer<typeof Node> | undefined = Object.hasOwn(mapping, id) ? mapping[id] : undefined;
    path.push(node?.message ?? null);
    id = node?.parent ?? null;
  }
  return path.filter((message) => message !== null).toReversed();
}

/** What a user or the model said in words; undefined for everything else. */
function readMessage(item: unknown, warnings: Warnings) {
  const message = Message.safeParse(item).data;
  const role = message?.author.role;
  const said = message === undefined ? undefined : textOf(message, warnings);
  if (message === undefined || (role !== "user" && role !== "assistant") || said === undefined) {
    // Every conversation begins with an empty message of the system.
    if (role !== "system" || said !== undefined) warn(warnings, "messages_left_out");
    return undefined;
  }
  const model = role === "assistant" ? (message.metadata?.model_slug ?? null) : null;
  return {
    sourceMessageId: message.id,
    seconds: message.create_time,
    role,
    content: keep(said, warnings),
    modelUsed: model && keep(model, warnings, MAX_TITLE_CHARS),
  };
}

function textOf({ content }: Message, warnings: Warnings): string | undefined {
  if (content.content_type !== "text" && content.content_type !== "multimodal_text") return undefined;
  const parts = content.parts ?? [];
  const texts = parts.filter((part) => typeof part === "string" && part !== "");
  const others = parts.filter((part) => typeof part !== "string");
  warn(warnings, "parts_left_out", others.length);
  return texts.length > 0 ? texts.join("\n") : undefined;
}

function toMs(seconds: number): number {
  return Math.round(seconds * 1_000);
}
