/**
 * What `DefaultChatTransport` of the AI SDK sends: a chat's id, its messages as the page has them, and what is wanted. Pure. Only what is new
 * is taken of the messages: their history is ours.
 */
import * as z from "zod";
import { answerOptions } from "./chat.ts";

const { model, model_type, temperature, max_tokens, tools, response_format, cache, on_busy } = answerOptions;

/** Printable ASCII: the page's own name for a chat, or a session's id. */
export const ChatId = z.string().regex(/^[\x21-\x7e]{1,255}$/);
const MessageId = z.string().max(256);

/** Of all parts together the body's limit is less. */
const MAX_TEXT_CHARS = 1_000_000;
const MAX_URL_CHARS = 16_000_000;

const Text = z.looseObject({ type: z.literal("text"), text: z.string().max(MAX_TEXT_CHARS) });
const File = z.looseObject({
  type: z.literal("file"),
  ...{ mediaType: z.string().max(128), url: z.string().max(MAX_URL_CHARS), filename: z.string().max(512).optional() },
});
/** Steps, tools, data: not said by anyone. */
const Other = z.looseObject({
  type: z
    .string()
    .max(128)
    .refine((type) => type !== "text" && type !== "file"),
});

/** A page's copy of a message: whatever a stream of ours, or another one, has made of it. */
const UiMessage = z.looseObject({
  id: MessageId,
  role: z.enum(["system", "user", "assistant"]),
  parts: z.array(z.union([Text, File, Other])).max(1_000),
});
export type UiMessage = z.infer<typeof UiMessage>;

export const ChatUiRequest = z
  .strictObject({
    id: ChatId,
    messages: z.array(UiMessage).min(1).max(2_000),
    trigger: z.enum(["submit-message", "regenerate-message"]).default("submit-message"),
    /** Of the question that is put anew, or of the answer that is made again. */
    messageId: MessageId.nullish(),
    ...{ model, model_type, temperature, max_tokens, tools, response_format, cache, on_busy },
  })
  .superRefine(({ messages, trigger }, issues) => {
    const last = messages.at(-1);
    const refuse = (message: string) => issues.addIssue({ code: "custom", path: ["messages"], message });
    if (trigger === "submit-message" && last?.role !== "user") refuse("must end with the user's");
  })
  .meta({ id: "ChatUiRequest" });
export type ChatUiRequest = z.infer<typeof ChatUiRequest>;
