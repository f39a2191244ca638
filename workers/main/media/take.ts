/**
 * Takes what is attached to a request: each part checked, its bytes apart from the message that refers to them, each file once.
 * Pure. Refuses bytes that are not what they are said to be, images that are too large or move, and addresses: nothing is fetched here,
 * and a provider is told to fetch only from hosts that the deployment names.
 */
import { createHash } from "node:crypto";
import { fromBase64 } from "../../../contracts/base64.ts";
import type { ChatInput } from "../../../contracts/chat.ts";
import { AppError } from "../../../contracts/errors.ts";
import {
  type AttachedFile,
  type Attachment,
  type InputPart,
  MAX_ATTACHED_BYTES,
  MAX_ATTACHMENTS,
  MAX_IMAGE_SIDE_PX,
  type SaidMessage,
} from "../../../contracts/parts.ts";
import { readImage } from "./image-header.ts";
import { audioFormat, FILE_TYPES, isPdf, isText } from "./sniff.ts";

const MAX_URL_CHARS = 2_048;

export interface Taken {
  said: SaidMessage[];
  files: AttachedFile[];
}

/** Undefined: nothing is attached. Throws invalid_request, unsupported_modality, payload_too_large. */
export function takeAttachments(input: ChatInput, allowedHosts: readonly string[]): Taken | undefined {
  const { parts, messages } = input;
  const asked = messages ?? [{ role: "user" as const, content: parts ?? "" }];
  if (!asked.some(({ content }) => typeof content !== "string" && content.some(({ type }) => type !== "text"))) {
    return undefined;
  }
  const taker = new Taker(allowedHosts);
  const said = asked.map(({ role, content }, at): SaidMessage => {
    if (typeof content === "string") return { role, content };
    const path = messages === undefined ? "parts" : `messages.${at}.content`;
    return taker.take(role, content, path);
  });
  return { said, files: [...taker.files.values()] };
}

/** Counts over all messages of a request. */
class Taker {
  readonly files = new Map<string, AttachedFile>();
  readonly #allowedHosts: readonly string[];
  #count = 0;
  #bytes = 0;

  constructor(allowedHosts: readonly string[]) {
    this.#allowedHosts = allowedHosts;
  }

  take(role: SaidMessage["role"], parts: InputPart[], path: string): SaidMessage {
    let content = "";
    let texts = 0;
    const attachments: Attachment[] = [];
    for (const [index, part] of parts.entries()) {
      if (part.type === "text") {
        content += (texts > 0 ? "\n" : "") + part.text;
        texts += 1;
      } else {
        const where = `${path}.${index}`;
        if (role === "assistant") throw unfit(where, "only a user's message may have attachments");
        attachments.push({ ...this.#attach(part, where), at: content.length });
      }
    }
    return { role, content, ...(attachments.length > 0 && { attachments }) };
  }

  #attach(part: Exclude<InputPart, { type: "text" }>, path: string): Attachment {
    this.#count += 1;
    if (this.#count > MAX_ATTACHMENTS) throw unfit(path, `a request may have ${MAX_ATTACHMENTS} attachments at most`);
    switch (part.type) {
      case "image_url":
        return this.#image(part.image_url, path);
      case "input_audio":
        return this.#audio(part.input_audio, path);
      case "file":
        return this.#file(part.file, path);
      case "video_url": {
        const details = { ability: "video", path };
        throw new AppError("unsupported_modality", "video is not taken", { details });
      }
    }
  }

  #image({ url, detail }: Extract<InputPart, { type: "image_url" }>["image_url"], path: string): Attachment {
    const more = { type: "image" as const, at: 0, ...(detail && { detail }) };
    if (!/^data:/i.test(url)) return { ...more, url: this.#remote(url, path) };
    const { type, data } = parseDataUrl(url, path);
    const bytes = this.#decode(data, path);
    const facts = readImage(bytes);
    if (facts === undefined) throw unfit(path, "must be a whole PNG, JPEG, WebP or GIF image");
    const { mimeType, width, height, isAnimated } = facts;
    if (mimeType !== type.replace("image/jpg", "image/jpeg")) throw unfit(path, `is ${mimeType}, and says otherwise`);
    if (isAnimated) throw unfit(path, "must not be animated: models are shown one picture");
    if (Math.min(width, height) < 1 || Math.max(width, height) > MAX_IMAGE_SIDE_PX) {
      throw unfit(path, `must have ${MAX_IMAGE_SIDE_PX} pixels a side at most, and one at least`);
    }
    return { ...more, ...this.#keep(bytes, data, mimeType), width, height };
  }

  #audio({ data, format }: Extract<InputPart, { type: "input_audio" }>["input_audio"], path: string): Attachment {
    const bytes = this.#decode(data, path);
    if (audioFormat(bytes) !== format) throw unfit(path, `must be ${format}`);
    return { type: "audio", at: 0, ...this.#keep(bytes, data, format === "wav" ? "audio/wav" : "audio/mpeg") };
  }

  #file({ file_data, filename }: Extract<InputPart, { type: "file" }>["file"], path: string): Attachment {
    const { type, data } = parseDataUrl(file_data, path);
    if (!FILE_TYPES.includes(type)) throw unfit(path, `must be one of ${FILE_TYPES.join(", ")}`);
    const bytes = this.#decode(data, path);
    const fits = type === "application/pdf" ? isPdf(bytes) : isText(bytes) && !isPdf(bytes);
    if (!fits) throw unfit(path, `is not ${type}`);
    return { type: "file", at: 0, ...this.#keep(bytes, data, type), ...(filename !== undefined && { filename }) };
  }

  /** Strict: what is not in the alphabet, cut off or padded otherwise does not come back as it was. */
  #decode(data: string, path: string): Uint8Array {
    this.#bytes += Math.ceil(data.length * 0.75);
    if (this.#bytes > MAX_ATTACHED_BYTES + 2 * this.#count) {
      throw new AppError("payload_too_large", `attachments may have ${MAX_ATTACHED_BYTES} bytes at most together`);
    }
    const bytes = fromBase64(data);
    if (bytes === undefined || bytes.length === 0) throw unfit(path, "must be base64 without spaces");
    return bytes;
  }

  #keep(bytes: Uint8Array, data: string, mimeType: string) {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    if (!this.files.has(sha256)) this.files.set(sha256, { sha256, mimeType, data });
    return { mime_type: mimeType, sha256, bytes: bytes.length };
  }

  /** An address that the provider may be told: a provider of one's own stands in one's own network. */
  #remote(text: string, path: string): string {
    const url = text.length > MAX_URL_CHARS ? null : URL.parse(text);
    const isPlain = url?.protocol === "https:" && url.username === "" && url.password === "";
    if (!isPlain || !this.#allowedHosts.includes(url.host)) {
      throw unfit(path, "must be data:{type};base64,{data}, or an https URL of a host that is allowed");
    }
    return url.href;
  }
}

function parseDataUrl(url: string, path: string): { type: string; data: string } {
  const [head, type] = /^data:([a-z]{1,32}\/[a-z0-9.+-]{1,96});base64,/i.exec(url) ?? [];
  if (head === undefined || type === undefined) throw unfit(path, "must be data:{type};base64,{data}");
  return { type: type.toLowerCase(), data: url.slice(head.length) };
}

/** Says where, and never what was there. */
function unfit(path: string, message: string): AppError {
  return new AppError("invalid_request", "the request does not fit its schema", {
    details: { issues: [{ path, message }] },
  });
}
