/**
 * What is attached to a prompt, in words, so that an answer can say what has arrived: kind, size and a mark of the bytes. Pure.
 * Knows sizes of PNG and GIF alone; fetches nothing.
 */
import { createHash } from "node:crypto";
import type { AttachedPart } from "./request.ts";

export function describePart(part: AttachedPart): string {
  if (part.type === "input_audio") {
    return `${part.input_audio.format} audio of ${Buffer.from(part.input_audio.data, "base64").length} bytes`;
  }
  if (part.type === "file") {
    const { filename, file_data } = part.file;
    return `the file ${filename} of ${bytesOf(file_data).length} bytes`;
  }
  const { url } = part.image_url;
  if (!url.startsWith("data:")) return `an image at ${url}`;
  const bytes = bytesOf(url);
  const mark = createHash("sha256").update(bytes).digest("hex").slice(0, 8);
  return `an image of ${sizeOf(bytes) ?? `${bytes.length} bytes`} (${mark})`;
}

function bytesOf(url: string): Buffer {
  return Buffer.from(url.slice(url.indexOf(",") + 1), "base64");
}

function sizeOf(bytes: Buffer): string | undefined {
  const isPng = bytes.toString("latin1", 12, 16) === "IHDR";
  if (isPng) return `${bytes.readUInt32BE(16)} x ${bytes.readUInt32BE(20)} px`;
  if (bytes.toString("latin1", 0, 4) === "GIF8") return `${bytes.readUInt16LE(6)} x ${bytes.readUInt16LE(8)} px`;
  return undefined;
}
