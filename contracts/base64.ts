/** Bytes as base64 and back, by the runtime's own fast code. Pure. Refuses what is not base64 to the letter. */

// Workers and Node both have it; the former's types call it any.
const Bytes = Buffer as BufferConstructor;

export function toBase64(bytes: Uint8Array): string {
  return Bytes.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** Undefined for what does not come back as it was: other letters, white space, a cut end, other padding. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> | undefined {
  const bytes = Uint8Array.from(Bytes.from(text, "base64"));
  return toBase64(bytes) === text ? bytes : undefined;
}
