/**
 * A document in pieces that are found and shown by themselves. Pure. Cuts between paragraphs where it can, else between lines, sentences or
 * words; every piece has text, and together they are the whole text but for white space at the cuts.
 */
const MAX_CHARS = 1_200;
const BREAKS = ["\n\n", "\n", ". ", " "];

export function toChunks(text: string): string[] {
  const chunks: string[] = [];
  let rest = text.trim();
  while (rest !== "") {
    const end = rest.length <= MAX_CHARS ? rest.length : findBreak(rest);
    chunks.push(rest.slice(0, end).trim());
    rest = rest.slice(end).trimStart();
  }
  return chunks;
}

/** The last good place, but not in the first half: pieces would be small. */
function findBreak(text: string): number {
  for (const sign of BREAKS) {
    const at = text.lastIndexOf(sign, MAX_CHARS - sign.length);
    if (at >= MAX_CHARS / 2) return at + sign.length;
  }
  // Not between the halves of a character.
  const isHalf = /[\ud800-\udbff]/.test(text.charAt(MAX_CHARS - 1));
  return isHalf ? MAX_CHARS - 1 : MAX_CHARS;
}
