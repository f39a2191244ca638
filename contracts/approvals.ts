/**
 * Approvals: what a person is asked before a tool runs, and what they may answer. Pure.
 * An answer names a call by its id alone; what was asked is kept by the turn and never taken from a client.
 */
import * as z from "zod";
import type { ToolCall } from "./tools.ts";

/** "deny" wins over "ask", "ask" over "allow". A denied tool is not even offered to the model. */
export const PolicyAction = z.enum(["allow", "ask", "deny"]);
export type PolicyAction = z.infer<typeof PolicyAction>;

/** One rule of a deployment: `tool` is a glob over tool names; `user` narrows it to one user. */
export const PolicyRule = z.strictObject({
  tool: z.string().regex(/^[\w.*-]{1,64}$/),
  action: PolicyAction,
  user: z.uuid().optional(),
});
export type PolicyRule = z.infer<typeof PolicyRule>;

export const Decision = z.discriminatedUnion("decision", [
  z.strictObject({
    call_id: z.string().max(128),
    decision: z.literal("approve"),
    /** Given: the call runs with these in place of the model's. */
    arguments: z.record(z.string(), z.unknown()).optional(),
  }),
  z.strictObject({
    call_id: z.string().max(128),
    decision: z.literal("reject"),
    /** Told to the model. */
    reason: z.string().max(1_000).optional(),
  }),
]);
export type Decision = z.infer<typeof Decision>;

export const ApprovalsRequest = z.strictObject({ decisions: z.array(Decision).min(1).max(16) });

/** What a waiting turn asks. */
export interface Approval {
  calls: ToolCall[];
  expiresAtMs: number;
  /** The answer, from when it is given to when the calls are told as events. */
  decisions?: Decision[];
}
