/**
 * Files that are uploaded before a message shows them. Pure but for who reads them. A part that names one is given its bytes, and is then like
 * any other part: what it holds is looked at where it is taken (take.ts).
 */
import { toBase64 } from "../../../contracts/base64.ts";
import type { ChatInput } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import {
  type AttachedFile,
  type InputPart,
  MAX_ATTACHED_BYTES,
  MAX_ATTACHMENTS,
  type StoredAttachment,
  uploadOf,
} from "../../../contracts/parts.ts";
import { takeAttachments } from "./take.ts";

/** What a file is, and its bytes for where they are kept. Throws what a message with it would be refused for. */
export function takeUpload(type: string, bytes: Uint8Array): { attachment: StoredAttachment; file: AttachedFile } {
  const taken = takeAttachments({ parts: [partOf(type, toBase64(bytes))] }, []);
  const attachment = taken?.said[0]?.attachments?.[0];
  const file = taken?.files[0];
  if (file === undefined || attachment === undefined || !("sha256" in attachment)) throw new Error("it was taken");
  return { attachment, file };
}

function partOf(type: string, data: string): InputPart {
  const url = `data:${type};base64,${data}`;
  if (type.startsWith("image/")) return { type: "image_url", image_url: { url } };
  if (type === "audio/wav") return { type: "input_audio", input_audio: { data, format: "wav" } };
  if (type === "audio/mpeg") return { type: "input_audio", input_audio: { data, format: "mp3" } };
  return { type: "file", file: { file_data: url } };
}

/** Gives the bytes of an upload of the request's session. Throws not_found. */
export type ReadUpload = (sha256: string) => Promise<{ mimeType: string; bytes: Uint8Array }>;

/** The same request with the bytes of the uploads that its parts name. */
export async function fillUploads<T extends ChatInput>(input: T, read: ReadUpload): Promise<T> {
  const named = [input.parts ?? [], ...(input.messages ?? []).map(({ content }) => content)].flatMap((parts) =>
    typeof parts === "string" ? [] : parts.flatMap((part) => uploadOf(sourceOf(part)) ?? []),
  );
  if (named.length === 0) return input;
  if (named.length > MAX_ATTACHMENTS)
    throw new AppError("invalid_request", `a request may have ${MAX_ATTACHMENTS} attachments at most`);
  const files = new Map<string, Awaited<ReturnType<ReadUpload>>>();
  let total = 0;
  // One after another: all of a session's files at once would be more than a Worker holds.
  for (const sha256 of new Set(named)) {
    const file = await read(sha256);
    total += file.bytes.length;
    if (total > MAX_ATTACHED_BYTES)
      throw new AppError("payload_too_large", `attachments may have ${MAX_ATTACHED_BYTES} bytes at most together`);
    files.set(sha256, file);
  }
  const fill = (part: InputPart): InputPart => {
    const file = files.get(uploadOf(sourceOf(part)) ?? "");
    return file === undefined ? part : withBytes(part, file.mimeType, toBase64(file.bytes));
  };
  const { parts, messages } = input;
  return {
    ...input,
    ...(parts && { parts: parts.map(fill) }),
    ...(messages && {
      messages: messages.map((message) => ({
        ...message,
        content: typeof message.content === "string" ? message.content : message.content.map(fill),
      })),
    }),
  };
}

function sourceOf(part: InputPart): string {
  switch (part.type) {
    case "image_url":
      return part.image_url.url;
    case "input_audio":
      return part.input_audio.data;
    case "file":
      return part.file.file_data;
    default:
      return "";
  }
}

function withBytes(part: InputPart, type: string, data: string): InputPart {
  const url = `data:${type};base64,${data}`;
  switch (part.type) {
    case "image_url":
      return { ...part, image_url: { ...part.image_url, url } };
    case "input_audio":
      return { ...part, input_audio: { ...part.input_audio, data } };
    case "file":
      return { ...part, file: { ...part.file, file_data: url } };
    default:
      return part;
  }
}
