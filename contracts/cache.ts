/**
 * What the three cache layers hold, and by what entries are found. Pure; every stored envelope is checked by these schemas when
 * it is read, and one that does not fit is a miss.
 */
import * as z from "zod";
import { GivenSessionOrTurnId, Id } from "./params.ts";
import { type CacheControl, ModelName, ToolName, Usage } from "./chat.ts";

export const LAYERS = ["llm", "intent", "mcp"] as const;
export type Layer = (typeof LAYERS)[number];

/** The routes that write to the cache: each names itself here, and can be purged by its name. */
const CACHED_ROUTES = [
  ...(["chat", "chat-stream", "regenerate", "edit", "with-history", "mcp-tools-call"] as const),
  ...(["v1-chat-completions", "v1-responses", "chat-ui"] as const),
] as const;
export const CachedRoute = z.enum(CACHED_ROUTES);
export type CachedRoute = z.infer<typeof CachedRoute>;

/** Entries that carry all of these; without any, every entry. */
export const CacheFilter = z.strictObject({
  layer: z.enum(LAYERS).optional(),
  /** What made it. */
  route: CachedRoute.optional(),
  user: Id.optional(),
  session: GivenSessionOrTurnId.optional(),
  model: ModelName.optional(),
  tool: ToolName.optional(),
});
export type CacheFilter = z.infer<typeof CacheFilter>;

/** What of the cache a request may read and write. */
export interface CacheUse {
  read: boolean;
  write: boolean;
  onlyIfCached: boolean;
  userScope: boolean;
  ttlSeconds: number | undefined;
  /** An older entry is as good as none. */
  maxAgeSeconds: number | undefined;
}

export function cacheUse(control: z.infer<typeof CacheControl> | undefined): CacheUse {
  const mode = control?.mode ?? "default";
  return {
    read: mode === "default" || mode === "only-if-cached",
    write: mode === "default" || mode === "no-cache",
    onlyIfCached: mode === "only-if-cached",
    userScope: control?.scope === "user",
    ttlSeconds: control?.ttl_seconds,
    maxAgeSeconds: control?.max_age_seconds,
  };
}

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

/** What the store holds under keys, in their order; undefined: it did not answer. */
export interface StoredValues {
  keys: string[];
  values: (string | null)[] | undefined;
}

export type CacheValue<L extends Layer> = z.infer<(typeof CACHE_VALUE)[L]>;

/** What making a value took, and using it again saves. */
export const Saves = z.strictObject({
  /** Of the model; of a tool for a tool's result. */
  calls: z.int().min(0),
  ms: z.int().min(0),
  /** None for a tool's result. */
  tokens: z.strictObject({ model: z.string(), prompt: z.int().min(0), completion: z.int().min(0) }).nullable(),
});
export type Saves = z.infer<typeof Saves>;

/** An entry as it is stored: it names the key it was written under, so that a misplaced value is seen. */
export const Envelope = z.strictObject({
  ...{ key: z.string(), created_at_ms: z.int(), saves: Saves, value: z.unknown() },
  /** In its user's words, where other wordings may find it. */
  question: z.string().optional(),
});

/** What is kept beside an entry: by what it is found, and a digest of each part of its key. */
export const About = z.strictObject({
  layer: z.enum(LAYERS),
  tags: z.array(z.string()),
  parts: z.record(z.string(), z.string()),
  created_at_ms: z.int(),
});
export type About = z.infer<typeof About>;

const Count = z.int().min(0);
const Saved = z.strictObject({
  /** Of the model; of tools in the layer of tools' results. */
  calls: Count,
  ms: Count,
  prompt_tokens: Count,
  completion_tokens: Count,
  /** At today's prices, of the models that have one; null: none of them has. */
  cost_usd: z.number().min(0).nullable(),
});

export const CacheCounts = z.strictObject({
  hits: Count,
  /** Of these, turns that shared an answer while another turn made it. */
  joined: Count,
  /** And those that were given the answer to another wording of their question. */
  similar: Count,
  misses: Count,
  /** Look-ups that were not to be, or could not be. */
  bypasses: Count,
  /** Of these, those that Redis did not answer. */
  outages: Count,
  /** Of all that looked and got an answer; null: nobody did. */
  hit_rate: z.number().min(0).max(1).nullable(),
  /** Entries written. */
  kept: Count,
  saved: Saved,
});
export type CacheCounts = z.infer<typeof CacheCounts>;

const byLayer = <T extends z.ZodType>(schema: T) => z.strictObject({ llm: schema, intent: schema, mcp: schema });

/** Figures of all Workers together. */
export const CacheStats = z.strictObject({
  /** Since the beginning, and what is there now. */
  layers: byLayer(CacheCounts.extend({ entries: Count, bytes: Count })),
  /** The newest first; UTC. */
  days: z.array(z.strictObject({ day: z.iso.date(), layers: byLayer(CacheCounts) })),
});
export type CacheStats = z.infer<typeof CacheStats>;

/** An entry without its value. */
const EntryView = z.strictObject({
  key: z.string(),
  layer: z.enum(LAYERS),
  tags: z.array(z.string()),
  /** Of each part of its key a digest, and whose it is. */
  parts: z.record(z.string(), z.string()),
  bytes: Count,
  age_seconds: Count,
  created_at: z.iso.datetime(),
  expires_at: z.iso.datetime(),
});
export type EntryView = z.infer<typeof EntryView>;

export const EntryList = z.strictObject({
  /** Those that end last come first. */
  entries: z.array(EntryView),
  total: Count,
});
export type EntryList = z.infer<typeof EntryList>;

const LayerExplanation = z.strictObject({
  verdict: z.enum(["hit", "miss"]),
  key: z.string(),
  parts: z.record(z.string(), z.string()),
  /** The entry of a hit. */
  entry: EntryView.nullable(),
  /** Of a miss: the entry of the layer's newest whose key differs in the fewest parts, and in which. */
  nearest: z.strictObject({ entry: EntryView, differs: z.array(z.string()) }).nullable(),
});
export type LayerExplanation = z.infer<typeof LayerExplanation>;

/** Why a request would be answered from the cache, or not. */
export const CacheExplanation = z.strictObject({ llm: LayerExplanation, intent: LayerExplanation });
export type CacheExplanation = z.infer<typeof CacheExplanation>;

export const PurgeReply = z.strictObject({
  message: z.string(),
  deleted_count: Count,
  /** Nothing was deleted: so many would have been. */
  dry_run: z.boolean(),
  purged_at: z.iso.datetime(),
});

export const CacheHealth = z.strictObject({
  status: z.enum(["healthy", "unhealthy"]),
  /** Null: there was no answer. */
  latency_ms: z.number().nullable(),
  /** By its settings. */
  enabled: z.boolean(),
  /** Whether other wordings of a question find its answer; `not_configured`: they should, and the database has no pgvector. */
  semantic: z.enum(["off", "ready", "not_configured", "unhealthy"]),
});
export type CacheHealth = z.infer<typeof CacheHealth>;
