/** Text of a bounded size, and what is no text as text. Pure. */
interface Capped {
  text: string;
  bytes: number;
}

/** At most so many bytes of UTF-8, cut between characters, with a mark that says so. */
export function capBytes(text: string, maxBytes: number): Capped {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= maxBytes) return { text, bytes: bytes.length };
  const mark = `\n[truncated: the whole result has ${bytes.length} bytes]`;
  const kept = new TextDecoder().decode(bytes.subarray(0, maxBytes - mark.length), { stream: true });
  return { text: kept + mark, bytes: maxBytes };
}

/** Undefined for what JSON cannot hold: circular values, bigints, functions. Bytes are refused too: they are no text. */
export function toJson(value: unknown): string | undefined {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return undefined;
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}
