/**
 * What a message is made of besides its text: the parts that a client sends, in OpenAI's form, and the attachments that are kept and
 * passed on of them. Pure. Refuses unknown fields; whether the data is what it says is found out where a request comes in.
 */
import * as z from "zod";
import type { Ability } from "./models.ts";
import type { ToolRound } from "./rounds.ts";
import { hasVisibleText } from "./text.ts";

/** Longest text of one message, in UTF-16 code units. */
const MAX_TEXT_CHARS = 100_000;
/** Of all that is attached to one request, decoded. */
export const MAX_ATTACHED_BYTES = 8 * 1024 * 1024;
export const MAX_ATTACHMENTS = 16;
/** Pixels, each way. */
export const MAX_IMAGE_SIDE_PX = 8_192;
const MAX_DATA_CHARS = 12 * 1024 * 1024;

/** Text that a person can see: not empty, not only white space or zero-width characters, no NUL. */
export const VisibleText = z
  .string()
  .max(MAX_TEXT_CHARS)
  .refine((text) => !text.includes("\u0000"), "must not contain NUL")
  .refine(hasVisibleText, "must contain visible text");

/**
 * `data:{type};base64,{data}`; of an image also an https URL, where the deployment allows its host. In a session also `attachment:{sha256}`: what
 * was uploaded to it, or stands in it.
 */
export const Source = z.string().min(1).max(MAX_DATA_CHARS);
export const Detail = z.enum(["auto", "low", "high"]);
export const FileName = z
  .string()
  .min(1)
  .max(200)
  .refine((name) => name.isWellFormed() && !/[\p{Cc}/\\"]/u.test(name), "must be a plain file name");

const AUDIO_FORMATS = ["wav", "mp3"] as const;

const TextPart = z.strictObject({ type: z.literal("text"), text: VisibleText });
const ImagePart = z.strictObject({
  type: z.literal("image_url"),
  image_url: z.strictObject({ url: Source, detail: Detail.optional() }),
});
const AudioPart = z.strictObject({
  type: z.literal("input_audio"),
  input_audio: z.strictObject({ data: Source, format: z.enum(AUDIO_FORMATS) }),
});
const FilePart = z.strictObject({
  type: z.literal("file"),
  file: z.strictObject({ file_data: Source, filename: FileName.optional() }),
});
/** Known, so that it can be refused by its name. */
const VideoPart = z.strictObject({ type: z.literal("video_url"), video_url: z.strictObject({ url: Source }) });

const InputPart = z
  .discriminatedUnion("type", [TextPart, ImagePart, AudioPart, FilePart, VideoPart])
  .meta({ id: "InputPart" });
export type InputPart = z.infer<typeof InputPart>;
export const InputParts = z.array(InputPart).min(1).max(100);

const UPLOADED = "attachment:";

export function toUploadUrl(sha256: string): string {
  return `${UPLOADED}${sha256}`;
}

/** The hash that such a source names; undefined: it is none. */
export function uploadOf(source: string): string | undefined {
  return /^attachment:([0-9a-f]{64})$/.exec(source)?.[1];
}

const place = {
  /** Where it stands: so many UTF-16 code units of the message's text come before it. */
  at: z.int().min(0),
};
const Stored = z.strictObject({
  type: z.enum(["image", "audio", "file"]),
  ...place,
  mime_type: z.string(),
  /** Of its bytes, hexadecimal. */
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  bytes: z.int().min(1),
  /** Of an image, in pixels. */
  width: z.int().min(1).optional(),
  height: z.int().min(1).optional(),
  filename: z.string().optional(),
  detail: Detail.optional(),
});
export type StoredAttachment = z.infer<typeof Stored>;
/** An image that the provider fetches by itself. */
const Remote = z.strictObject({ type: z.literal("image"), ...place, url: z.url(), detail: Detail.optional() });
type RemoteAttachment = z.infer<typeof Remote>;

/** What was uploaded: `url` stands for it in the parts of the session's messages, where a data URL or base64 would. */
export const UploadedAttachment = Stored.pick({
  type: true,
  mime_type: true,
  sha256: true,
  bytes: true,
  width: true,
  height: true,
})
  .extend({ url: z.string() })
  .meta({ id: "UploadedAttachment" });
export type UploadedAttachment = z.infer<typeof UploadedAttachment>;

/** What a message refers to: never the bytes themselves. */
export const Attachment = z.union([Stored, Remote]).meta({ id: "Attachment" });
export type Attachment = z.infer<typeof Attachment>;

/** As it is handed to the model's service: `data` is its bytes in base64, there from right before the call on. */
export type ModelAttachment = (StoredAttachment & { data?: string }) | RemoteAttachment;

/** A message as it is said: its text, and what is attached to it, in order. Left out: nothing is. */
export interface SaidMessage {
  role: "user" | "assistant";
  content: string;
  attachments?: Attachment[];
  /** What its client puts before it. */
  before?: Prelude[];
}

/** What stands between messages and is nobody's own: words of a system, and what a client did with its tools. */
export type Prelude = { system: string } | { round: ToolRound };

/** The bytes of an attachment on their way to where they are kept; in base64. */
export interface AttachedFile {
  sha256: string;
  mimeType: string;
  data: string;
}

const ABILITY_FOR = { image: "images", audio: "audio", file: "files" } as const satisfies Record<
  Attachment["type"],
  Ability
>;

/** What a model must be able to do to be shown it, besides chat: a file of text is shown as text. */
export function abilityFor(attachment: Attachment): Ability | undefined {
  return isTextFile(attachment) ? undefined : ABILITY_FOR[attachment.type];
}

export function isTextFile(attachment: Attachment): boolean {
  return attachment.type === "file" && attachment.mime_type.startsWith("text/");
}

/** Of text parts alone: other parts have no text. */
export function textOfParts(content: string | InputPart[]): string {
  if (typeof content === "string") return content;
  return content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
}

/** A fixed guess: a picture costs what it shows, not what its file weighs. */
const IMAGE_TOKENS = 1_100;
/** A second of ordinary MP3 is 16,000 bytes and about ten tokens. */
const AUDIO_BYTES_A_TOKEN = 1_600;
const PDF_BYTES_A_TOKEN = 40;
const TEXT_BYTES_A_TOKEN = 4;

/** A bound for trimming, not a bill. */
export function estimateAttachmentTokens(attachment: Attachment): number {
  if (attachment.type === "image" || !("bytes" in attachment)) return IMAGE_TOKENS;
  const { type, bytes, mime_type: mimeType } = attachment;
  if (type === "audio") return Math.ceil(bytes / AUDIO_BYTES_A_TOKEN);
  if (mimeType !== "application/pdf") return Math.ceil(bytes / TEXT_BYTES_A_TOKEN);
  return Math.max(IMAGE_TOKENS, Math.ceil(bytes / PDF_BYTES_A_TOKEN));
}
