/**
 * Which messages of a session are on the branch that the next turn goes on from. Pure. A message follows the one before it, unless
 * a branch starts there; so a branch is told by its few starts, not by a walk through all messages.
 */

/** A message that does not follow the one before it. */
export interface BranchStart {
  seq: number;
  /** The place of the message that it follows; 0: none. */
  from: number;
}

/** The branch that ends at `leafSeq`, from its end back. `starts`: all above the places that are asked for, newest first. */
export function readBranch(leafSeq: number, starts: BranchStart[]) {
  const runs: { first: number; last: number }[] = [];
  let last = leafSeq;
  for (const { seq, from } of starts) {
    // Else it belongs to another branch.
    if (seq > last) continue;
    runs.push({ first: seq, last });
    last = from;
  }
  runs.push({ first: 0, last });
  return {
    holds: (seq: number): boolean => runs.some((run) => run.first <= seq && seq <= run.last),
    /** Its newest place below `floor`, when no start below that was given; 0: it has none. */
    below: (floor: number): number => Math.min(last, floor - 1),
  };
}

/** What tells in Postgres whether a message begins a branch; null: it follows the one before it. */
export function branchFrom(parentSeq: number | null, seqBefore: number): number | null {
  return (parentSeq ?? 0) === seqBefore ? null : (parentSeq ?? 0);
}
