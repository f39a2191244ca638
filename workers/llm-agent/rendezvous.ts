/**
 * Rendezvous hashing: for each key an order of the nodes that all isolates agree on without talking. Pure. A node that comes or goes
 * moves only the keys that are its own; a node of twice the weight is first for twice as many.
 */
export interface Ranked {
  /** What the node is told apart by, wherever it stands in the list. */
  baseUrl: string;
  weight: number;
}

export function rank<T extends Ranked>(nodes: readonly T[], key: string): T[] {
  const scored = nodes.map((node) => ({ node, score: -node.weight / Math.log(unit(`${node.baseUrl}\n${key}`)) }));
  return scored.toSorted((a, b) => b.score - a.score).map(({ node }) => node);
}

/** A number between 0 and 1, without either: 53 bits of two mixed FNV-1a hashes. No secret depends on it. */
function unit(text: string): number {
  let high = 0x811c9dc5;
  let low = 0xdeadbeef;
  for (let at = 0; at < text.length; at += 1) {
    const unitCode = text.charCodeAt(at);
    high = Math.imul(high ^ unitCode, 0x01000193);
    low = Math.imul(low ^ unitCode, 0x85ebca6b);
  }
  return ((mix(high) & 0x1fffff) * 2 ** 32 + mix(low) + 0.5) / 2 ** 53;
}

/** The finalizer of MurmurHash3: every bit of the text reaches every bit of the number. */
function mix(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
