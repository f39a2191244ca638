/**
 * What attached bytes are, told from the bytes alone. Pure. Knows the types that are taken and no other: SVG and HTML are text to it, and
 * no image.
 */
import { hasVisibleText } from "../../../contracts/text.ts";

export const FILE_TYPES = ["application/pdf", "text/plain", "text/markdown", "text/csv"];

/** A PDF from its first word to its last. */
export function isPdf(bytes: Uint8Array): boolean {
  return latin(bytes.subarray(0, 5)) === "%PDF-" && latin(bytes.subarray(-1_024)).includes("%%EOF");
}

/** Text in UTF-8 that a person can read. */
export function isText(bytes: Uint8Array): boolean {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
    return !text.includes("\u0000") && hasVisibleText(text);
  } catch {
    return false;
  }
}

export function audioFormat(bytes: Uint8Array): "wav" | "mp3" | undefined {
  const start = latin(bytes.subarray(0, 16));
  if (start.startsWith("RIFF") && start.slice(8, 12) === "WAVE") return "wav";
  const [first = 0, second = 0, third = 0] = bytes;
  // A frame of MPEG audio, layer III, with a bit rate; or the tag before the first one.
  const isFrame = first === 0xff && (second & 0xe6) === 0xe2 && (second & 0x18) !== 0x08 && third >> 4 !== 0xf;
  return isFrame || (start.startsWith("ID3") && bytes.length > 10) ? "mp3" : undefined;
}

function latin(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
