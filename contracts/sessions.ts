/**
 * Sessions and their messages as the API shows and takes them. Pure. Unknown fields are refused.
 */
import * as z from "zod";
import { ChatReply, ChatRequest, ModelName, ModelType, Residency } from "./chat.ts";
import { MESSAGE_STATUSES } from "./history.ts";
import { GivenSessionOrTurnId, Id, SessionOrTurnId } from "./params.ts";
import { Attachment, VisibleText } from "./parts.ts";
import { hasVisibleText } from "./text.ts";

export const MessageView = z
  .strictObject({
    id: z.uuidv7(),
    /** Its place in the session. */
    seq: z.int().min(1),
    /** The message it answers or follows; two messages of one parent are branches. null: it is a first one, or that one was too old to be kept. */
    parent_id: z.uuidv7().nullable(),
    /** On the branch that the next turn goes on from. */
    active: z.boolean(),
    /** null: it was saved without a turn. */
    turn_id: SessionOrTurnId.nullable(),
    role: z.enum(["user", "assistant"]),
    content: z.string(),
    /** Left out: nothing is attached. The bytes are read by their hash. */
    attachments: z.array(Attachment).min(1).optional(),
    status: z.enum(MESSAGE_STATUSES),
    tokens_used: z.int().min(0),
    created_at: z.iso.datetime(),
  })
  .meta({ id: "Message" });
export type MessageView = z.infer<typeof MessageView>;

/** A page of a session's messages: newest first, or oldest first with `after`. It may be shorter than its limit before the last one. */
export const MessagePage = z
  .strictObject({
    session_id: SessionOrTurnId,
    messages: z.array(MessageView),
    /** `before` of the next page; null on the last one, and oldest first. */
    next_before: z.int().nullable(),
    /** `after` of the next page; null on the last one, and newest first. */
    next_after: z.int().nullable(),
  })
  .meta({ id: "MessagePage" });
export type MessagePage = z.infer<typeof MessagePage>;

/** A session as its routes show it. */
export const SessionView = z
  .strictObject({
    id: SessionOrTurnId,
    title: z.string(),
    /** What it began with; null: an import did not say it. */
    model_type: z.string().nullable(),
    model_name: z.string().nullable(),
    /** false: archived. */
    is_active: z.boolean(),
    created_at: z.iso.datetime(),
    /** Its last change or message. */
    updated_at: z.iso.datetime(),
    /** Messages of all branches. */
    message_count: z.int().min(0),
    /** The turn that has not ended. */
    turn: z.strictObject({ turn_id: SessionOrTurnId, state: z.enum(["running", "waiting"]) }).nullable(),
  })
  .meta({ id: "Session" });
export type SessionView = z.infer<typeof SessionView>;

const MAX_TITLE_CHARS = 200;

/** One line that a person can see. Kept as it is, byte for byte. */
const Title = z
  .string()
  .refine((text) => [...text].length <= MAX_TITLE_CHARS, `must have ${MAX_TITLE_CHARS} characters at most`)
  .refine((text) => !/\p{Cc}/u.test(text), "must not contain control characters")
  .refine((text) => text.isWellFormed(), "must not contain half a surrogate pair")
  .refine(hasVisibleText, "must contain visible text");

export const SessionRequest = z.strictObject({
  /** Left out: made of what is said first. */
  title: Title.optional(),
  model: ModelName.optional(),
  model_type: ModelType.optional(),
  /** One's own. */
  user_id: Id.optional(),
  residency: Residency.optional(),
});

export const SessionPatch = z
  .strictObject({ title: Title.optional(), is_active: z.boolean().optional() })
  .refine((patch) => Object.keys(patch).length > 0, "must change something");

/** A message that is saved without a turn. */
export const MessageRequest = z.strictObject({
  session_id: GivenSessionOrTurnId,
  role: z.enum(["user", "assistant"]),
  content: VisibleText,
});

/** A chat request that is answered with the end of its session's history as well. */
export const HistoryChatRequest = ChatRequest.safeExtend({
  /** How many messages of the session the reply shows at most, the turn's own among them. */
  history_limit: z.int().min(0).max(100).default(20),
}).meta({ id: "HistoryChatRequest" });

export const HistoryChatReply = z
  .strictObject({
    ...ChatReply.shape,
    /** The session's newest messages after the turn, oldest first. */
    history: z.array(MessageView),
  })
  .meta({ id: "HistoryChatReply" });
export type HistoryChatReply = z.infer<typeof HistoryChatReply>;

const counts = <T extends string>(...names: T[]) =>
  z.strictObject(Object.fromEntries(names.map((name) => [name, z.int().min(0)])) as Record<T, z.ZodInt>); // one each

/** A session that was deleted; `erased` false: Postgres or the cache is away, and what is there goes when it is back. */
export const ErasedSession = z
  .strictObject({
    session_id: SessionOrTurnId,
    erased: z.boolean(),
    removed: z.strictObject({
      object: counts("messages", "turns", "events", "checkpoints"),
      /** null: Postgres is away. */
      postgres: counts("sessions", "messages", "dead_letters").nullable(),
      /** null: the cache is away. */
      cache_entries: z.int().min(0).nullable(),
    }),
  })
  .meta({ id: "ErasedSession" });
export type ErasedSession = z.infer<typeof ErasedSession>;
