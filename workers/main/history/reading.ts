/** What is read of an import's file, and what of it is not to the letter. Pure. */
import type { ImportedSession } from "../../../contracts/archive.ts";
import { storable } from "../../../contracts/text.ts";
import { type ImportWarning, MAX_CONTENT_CHARS } from "../../../contracts/transfer.ts";

/** How often each of them was met. */
export type Warnings = Map<ImportWarning, number>;

/** Read, and not yet written. */
export interface Reading {
  sessions: ImportedSession[];
  warnings: Warnings;
}

export function warn(warnings: Warnings, code: ImportWarning, times = 1): void {
  if (times > 0) warnings.set(code, (warnings.get(code) ?? 0) + times);
}

/** A text as it is stored. */
export function keep(text: string, warnings: Warnings, maxChars = MAX_CONTENT_CHARS): string {
  const short = text.slice(0, maxChars);
  if (short.length < text.length) warn(warnings, "texts_cut");
  const good = storable(short);
  if (good !== short) warn(warnings, "texts_changed");
  return good;
}
