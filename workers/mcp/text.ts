/** What is no text as text. Pure. */
/** Undefined for what JSON cannot hold: circular values, bigints, functions. Bytes are refused too: they are no text. */
export function toJson(value: unknown): string | undefined {
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return undefined;
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}
