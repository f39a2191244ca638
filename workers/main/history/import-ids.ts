/**
 * Ids of what is imported. Pure: the same user and the same source give the same id, so that a repeated import finds what is there,
 * and two users' imports of one file never meet.
 */
import { createHash } from "node:crypto";
import { newId } from "../../../contracts/ids.ts";

/** A UUIDv7 of the thing's own time, with bits of a SHA-256 of whose and what it is in the place of random ones. */
export function importedId(createdAtMs: number, ...source: string[]): string {
  const digest = createHash("sha256").update(JSON.stringify(source)).digest();
  return newId(createdAtMs, (length) => digest.subarray(0, length));
}
