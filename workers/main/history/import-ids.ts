/**
 * Ids of what is imported. Pure: the same user and the same source give the same id, so that a repeated import finds what is there,
 * and two users' imports of one file never meet.
 */
import { createHash } from "node:crypto";
import type { ImportedSession } from "../../../contracts/archive.ts";
import { newId, type Residency, residencyOf, withResidency } from "../../../contracts/ids.ts";

/** A UUIDv7 of the thing's own time, with bits of a SHA-256 of whose and what it is in the place of random ones. */
export function importedId(createdAtMs: number, ...source: string[]): string {
  const digest = createHash("sha256").update(JSON.stringify(source)).digest();
  return newId(createdAtMs, (length) => digest.subarray(0, length));
}

/** A copy of a session that was in the EU is in the EU; else it is where the deployment makes its sessions. */
export function placeImported(imported: ImportedSession, residency: Residency | undefined): ImportedSession {
  const { session, copyOf = "" } = imported;
  return { ...imported, session: { ...session, id: withResidency(session.id, residencyOf(copyOf) ?? residency) } };
}
