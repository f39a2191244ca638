/** What text has to be like. Pure. */

/** Something that a person can see: not only white space, zero-width and control characters. */
export function hasVisibleText(text: string): boolean {
  return /[^\p{White_Space}\p{Cf}\p{Cc}]/u.test(text);
}

/** As Postgres can store it: it takes neither NUL nor half a surrogate pair, and people, models and tools may send both. */
export function storable(text: string): string {
  return text.replaceAll("\u0000", "\ufffd").toWellFormed();
}
