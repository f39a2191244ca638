/** Pure: compares what is kept of a key with what was sent, in a time that says nothing of where two hashes differ. */
export function isSameHash(one: string, other: string): boolean {
  const encoder = new TextEncoder();
  const [left, right] = [encoder.encode(one), encoder.encode(other)];
  return left.byteLength === right.byteLength && crypto.subtle.timingSafeEqual(left, right);
}
