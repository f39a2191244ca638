/**
 * Branches of a session: an answer made again is a sibling of the first, a question put anew a sibling of the old one.
 * Nothing is destroyed; the newest message is the end of the active branch. No state of its own.
 */
import { AppError } from "../../../contracts/errors.ts";
import type { SaidMessage } from "../../../contracts/parts.ts";
import type { ToolRound } from "../../../contracts/rounds.ts";
import type { Branch, CallOutput } from "../../../contracts/session.ts";
import { readTurn } from "./turns.ts";
import { findMessage, isSettled, type Message, newestOfTurn, newestSeq, readMessage } from "./messages.ts";

export interface BranchPoint {
  /** The message after which the branch goes on; null at the start. */
  leafSeq: number | null;
  /** What is said there; nothing when an answer is made again. */
  said: SaidMessage[];
  /** Calls of a client's tools, with their results, that come behind all that is said. */
  given?: ToolRound[];
}

/** Where a session begins. */
export function beginning(branch: Branch, said: BranchPoint["said"]): BranchPoint {
  return { leafSeq: null, said, ...(branch.kind === "end" && branch.given && { given: branch.given }) };
}

export function branchOf(sql: SqlStorage, branch: Branch, said: BranchPoint["said"]): BranchPoint {
  switch (branch.kind) {
    case "end":
      return { ...beginning(branch, said), leafSeq: newestSeq(sql) };
    case "edit": {
      const question = requireMessage(findMessage(sql, branch.messageId), "user");
      return { leafSeq: question.parentSeq, said };
    }
    case "regenerate": {
      const { messageId } = branch;
      const newest = readMessage(sql, newestSeq(sql) ?? 0);
      // A question that got no answer is answered now.
      if (messageId === undefined && newest?.role === "user") return { leafSeq: newest.seq, said: [] };
      const answer = messageId === undefined ? newest : findMessage(sql, messageId);
      const { parentSeq } = requireMessage(answer, "assistant");
      // A message that was saved without a turn may follow anything, and a question may be too far back to be here.
      const question = readMessage(sql, parentSeq ?? 0);
      if (question?.role !== "user") throw new AppError("invalid_request", "the message answers no question");
      return { leafSeq: parentSeq, said: [] };
    }
    case "follow": {
      const { messageId } = branch;
      const answer = messageId === null ? undefined : requireMessage(findMessage(sql, messageId), "assistant");
      return { leafSeq: answer?.seq ?? null, said };
    }
    case "after":
      return afterTurn(sql, branch, said);
  }
}

/** A turn that ended without an answer is gone on from where it began. */
function afterTurn(sql: SqlStorage, { turnId, outputs }: Branch & { kind: "after" }, said: BranchPoint["said"]) {
  const turn = readTurn(sql, turnId);
  // Of a session that has rested there are messages alone.
  const end = turn === undefined ? newestOfTurn(sql, turnId) : findMessage(sql, turn.plan.messageId);
  if (turn === undefined && end === undefined) throw new AppError("not_found", "there is no such response");
  // What it answered may have been too old to be kept.
  const leafSeq = end?.seq ?? readMessage(sql, turn?.plan.parentSeq ?? 0)?.seq ?? null;
  const open = end?.details.rounds?.find((round) => !isSettled(round));
  if (open === undefined && outputs.length === 0) return { leafSeq, said };
  const round = settle(open, outputs);
  const [first, ...others] = said;
  if (first === undefined) return { leafSeq, said, given: [round] };
  return { leafSeq, said: [{ ...first, before: [{ round }, ...(first.before ?? [])] }, ...others] };
}

function settle(open: ToolRound | undefined, outputs: CallOutput[]): ToolRound {
  const results = new Map(outputs.map(({ callId, content }) => [callId, { ok: true, content }]));
  const calls = open?.calls ?? [];
  const answered = calls.flatMap(({ id }) => results.get(id) ?? []);
  if (open === undefined || answered.length < calls.length || results.size > calls.length) {
    throw new AppError(
      "invalid_request",
      "each call of the response before needs its output, and no other call has one",
    );
  }
  // Its words are the message's own.
  return { content: "", calls, results: answered };
}

function requireMessage(message: Message | undefined, role: Message["role"]): Message {
  if (message === undefined) throw new AppError("not_found", "the session has no such message");
  if (message.role !== role) {
    const needed = role === "user" ? "a question can be put anew" : "an answer can be made again";
    throw new AppError("invalid_request", `only ${needed}`);
  }
  return message;
}
