/**
 * What an untitled session is called: the first words said in it, or what a model made of them. Pure. A title is one line, has no
 * control characters, and is never cut inside what a reader sees as one character.
 */

const MAX_CHARS = 80;
const ELLIPSIS = "…";

/** The beginning of a text, up to a word's end where there is one. Length is in UTF-16 code units. */
export function titleOf(text: string): string {
  const line = toLine(text);
  if (line.length <= MAX_CHARS) return line;
  const cut = wholeCharacters(line, MAX_CHARS - ELLIPSIS.length);
  const lastSpace = cut.lastIndexOf(" ");
  // A language without spaces, or one very long word: it is cut where it must be.
  const words = line[cut.length] === " " || lastSpace < MAX_CHARS / 2 ? cut : cut.slice(0, lastSpace);
  return words.trimEnd() + ELLIPSIS;
}

/** What a model answered when it was asked for a title; undefined when that is none. */
export function cleanTitle(answer: string): string | undefined {
  const lines = answer.split(/[\n\r]/).map(toLine);
  const first = lines.find((line) => line !== "") ?? "";
  const bare = first.replace(/^(?:title\s*:|#+)\s*/i, "").replace(/^["'“”«»„*`]+|["'“”«»*`.]+$/gu, "");
  const title = titleOf(bare);
  return /[\p{L}\p{N}]/u.test(title) ? title : undefined;
}

function toLine(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/[\p{White_Space}\p{Cc}]+/gu, " ")
    .trim();
}

/** As many whole characters (grapheme clusters) as fit. */
function wholeCharacters(text: string, maxLength: number): string {
  let end = 0;
  // Only the beginning is looked at: a text may be long.
  for (const { index, segment } of new Intl.Segmenter().segment(text.slice(0, 8 * maxLength))) {
    if (index + segment.length > maxLength) break;
    end = index + segment.length;
  }
  return text.slice(0, end);
}
