/**
 * Entries as they are shown: by what they are found, how old and how large, and which parts of two keys differ. State lives in
 * Redis. Nobody's answer, question or tool's result is among it.
 */
import * as z from "zod";
import {
  About,
  type CacheExplanation,
  type CacheFilter,
  type EntryList,
  type EntryView,
  type Layer,
  type LayerExplanation,
} from "../../../contracts/cache.ts";
import { ok, type Result } from "../../../contracts/errors.ts";
import { askRedis } from "./ask.ts";
import type { Slot } from "./cache.ts";
import { describeParts } from "./key.ts";
import type { RedisStore } from "./redis.ts";
import { EXPLAIN, LIST } from "./scripts.ts";
import { tagsOfFilter } from "./tags.ts";

/** Of a layer's newest, so many are compared with a key that is not there. */
const COMPARED = 200;

/** What VIEW gives of an entry. */
const View = z.tuple([z.string(), z.string(), z.int(), z.int()]);
const ListReply = z.tuple([z.int(), z.array(View)]);
const Explained = z.tuple([View, z.array(View)]);

interface Desk {
  redis: RedisStore | undefined;
  now: () => number;
}

export async function listEntries(
  { redis, now }: Desk,
  filter: CacheFilter,
  { offset, limit }: { offset: number; limit: number },
): Promise<Result<EntryList>> {
  const args = [JSON.stringify(tagsOfFilter(filter)), String(offset), String(limit)];
  const read = await askRedis(redis, { script: LIST, args, reply: ListReply });
  if (!read.ok) return read;
  const [total, views] = read.value;
  return ok({ total, entries: views.flatMap((view) => toEntry(view, now()) ?? []) });
}

export async function explainSlots(
  { redis, now }: Desk,
  { answer, intent }: { answer: Slot<"llm">; intent: Slot<"intent"> },
): Promise<Result<CacheExplanation>> {
  const args = [answer, intent].flatMap(({ layer, key }) => [layer, key]);
  const reply = z.tuple([Explained, Explained]);
  const read = await askRedis(redis, { script: EXPLAIN, args: [...args, String(COMPARED)], reply });
  if (!read.ok) return read;
  const explain = (slot: Slot<Layer>, [own, near]: z.infer<typeof Explained>): LayerExplanation => {
    const others = near.flatMap((view) => toEntry(view, now()) ?? []);
    return explainSlot(slot, toEntry(own, now()), others);
  };
  return ok({ llm: explain(answer, read.value[0]), intent: explain(intent, read.value[1]) });
}

function explainSlot(slot: Slot<Layer>, entry: EntryView | undefined, others: EntryView[]): LayerExplanation {
  const parts = describeParts(slot.scope, slot.parts);
  const compared = others.map((other) => ({ entry: other, differs: differences(parts, other.parts) }));
  const nearest = compared.toSorted((a, b) => a.differs.length - b.differs.length)[0];
  return {
    verdict: entry === undefined ? "miss" : "hit",
    ...{ key: slot.key, parts, entry: entry ?? null, nearest: entry === undefined ? (nearest ?? null) : null },
  };
}

function differences(one: Record<string, string>, other: Record<string, string>): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].filter((name) => one[name] !== other[name]).toSorted();
}

/** Undefined for an entry that is gone, or is none. */
function toEntry([key, text, bytes, leftMs]: z.infer<typeof View>, nowMs: number): EntryView | undefined {
  const about = About.safeParse(text === "" || leftMs < 0 ? undefined : JSON.parse(text));
  if (!about.success) return undefined;
  const { created_at_ms: createdAtMs, ...rest } = about.data;
  const time = (ms: number): string => new Date(ms).toISOString();
  // Clocks of two machines differ.
  const ageSeconds = Math.max(0, Math.floor((nowMs - createdAtMs) / 1_000));
  return {
    key,
    ...rest,
    bytes,
    age_seconds: ageSeconds,
    created_at: time(createdAtMs),
    expires_at: time(nowMs + leftMs),
  };
}
