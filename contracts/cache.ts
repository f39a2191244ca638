/**
 * What the three cache layers hold, and by what entries are found. Pure; every stored envelope is checked by these schemas when
 * it is read, and one that does not fit is a miss.
 */
import * as z from "zod";
import { ModelName, ToolName, Usage } from "./chat.ts";

export const LAYERS = ["llm", "intent", "mcp"] as const;
export type Layer = (typeof LAYERS)[number];

/** The routes whose turns write to the cache: one that starts a turn names itself here, and can be purged by its name. */
const CACHED_ROUTES = ["chat", "chat-stream", "regenerate", "edit", "with-history"] as const;
export const CachedRoute = z.enum(CACHED_ROUTES);
export type CachedRoute = z.infer<typeof CachedRoute>;

/** Entries that carry all of these; without any, every entry. */
export const CacheFilter = z.strictObject({
  layer: z.enum(LAYERS).optional(),
  /** What made it. */
  route: CachedRoute.optional(),
  user: z.uuidv7().optional(),
  session: z.uuidv7().optional(),
  model: ModelName.optional(),
  tool: ToolName.optional(),
});
export type CacheFilter = z.infer<typeof CacheFilter>;

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
