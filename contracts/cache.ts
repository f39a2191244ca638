/**
 * What the three cache layers hold. Pure; every stored envelope is checked by these schemas when it is read, and one that does
 * not fit is a miss.
 */
import * as z from "zod";
import { Usage } from "./chat.ts";

export const LAYERS = ["llm", "intent", "mcp"] as const;
export type Layer = (typeof LAYERS)[number];

const Arguments = z.record(z.string(), z.unknown());
const Outcome = z.strictObject({ ok: z.literal(true), content: z.string() });

/** A tool call and its result without the call's id, which belongs to one turn. */
const CachedRound = z.strictObject({
  content: z.string(),
  calls: z.array(z.strictObject({ name: z.string(), arguments: Arguments })),
  results: z.array(Outcome),
});

/** The value of each layer. Only answers with finish reason "stop" are kept, and only tools that may be cached took part. */
export const CACHE_VALUE = {
  llm: z.strictObject({
    content: z.string(),
    rounds: z.array(CachedRound),
    usage: Usage,
    model: z.string(),
    provider: z.string(),
  }),
  intent: z.strictObject({ calls: z.array(z.strictObject({ name: z.string(), arguments: Arguments })).min(1) }),
  mcp: Outcome,
} as const;

export type CacheValue<L extends Layer> = z.infer<(typeof CACHE_VALUE)[L]>;

/** An entry as it is stored: it names the key it was written under, so that a misplaced value is seen. */
export const Envelope = z.strictObject({ key: z.string(), created_at_ms: z.int(), value: z.unknown() });
