/**
 * What the cache does in Redis as one step each, as Lua: keep a turn's entries, and purge by tags. State lives in Redis;
 * docs/storage.md names every key. No script looks for keys: it goes from a tag's index to its entries.
 */
import { INDEX, PURGE_COUNT, PURGED, STATS } from "./key.ts";

/** So many purges are remembered by tag: a turn that has lived through more of them keeps nothing. */
const REMEMBERED = 10_000;
const KEEP_DAY_SECONDS = 100 * 86_400;

/** Takes an entry out of Redis with everything that tells of it. */
const REMOVE = `
local function remove(key)
  local about = redis.call('GET', key .. ':about')
  if about then
    for _, tag in ipairs(cjson.decode(about).tags) do redis.call('ZREM', '${INDEX}' .. tag, key) end
  end
  redis.call('DEL', key, key .. ':about')
end
`;

/**
 * ARGV: the plan as JSON, then the envelope of each of its entries. Gives how many were kept: an entry is left out when one of
 * its tags was purged after the turn began. Expired members leave an index when it is written to. Counts what the turn looked up.
 */
export const KEEP = `
local plan = cjson.decode(ARGV[1])
${REMOVE}
local function is_fresh(tags)
  local count = tonumber(redis.call('GET', '${PURGE_COUNT}') or '0')
  if plan.since == count then return true end
  if plan.since > count or count - plan.since > ${REMEMBERED} then return false end
  for _, tag in ipairs(tags) do
    local purged = redis.call('ZSCORE', '${PURGED}', tag)
    if purged and tonumber(purged) > plan.since then return false end
  end
  return true
end

local function count(field, by)
  redis.call('HINCRBY', '${STATS}', field, by)
  redis.call('HINCRBY', '${STATS}:' .. plan.day, field, by)
end

local kept = 0
for at, entry in ipairs(plan.entries) do
  if is_fresh(entry.tags) then
    remove(entry.key)
    redis.call('SET', entry.key, ARGV[at + 1], 'PX', entry.ttl_ms)
    redis.call('SET', entry.key .. ':about', entry.about, 'PX', entry.ttl_ms)
    for _, tag in ipairs(entry.tags) do
      local index = '${INDEX}' .. tag
      redis.call('ZREMRANGEBYSCORE', index, '-inf', plan.now_ms)
      redis.call('ZADD', index, plan.now_ms + entry.ttl_ms, entry.key)
      if redis.call('PTTL', index) < entry.ttl_ms then redis.call('PEXPIRE', index, entry.ttl_ms) end
    end
    count(entry.layer .. ':kept', 1)
    kept = kept + 1
  end
end
for _, counted in ipairs(plan.counts) do count(counted[1], counted[2]) end
redis.call('EXPIRE', '${STATS}:' .. plan.day, ${KEEP_DAY_SECONDS})
return kept
`;

/** ARGV: keys of entries. */
export const REMOVE_ENTRIES = `
${REMOVE}
for _, key in ipairs(ARGV) do remove(key) end
return #ARGV
`;

/** Whether an entry of the first tag's index is there and carries the other tags. */
const MATCHES = `
local function matches(key, tags)
  for at = 2, #tags do
    if not redis.call('ZSCORE', '${INDEX}' .. tags[at], key) then return false end
  end
  return redis.call('EXISTS', key) == 1
end
`;

/** ARGV: tags as JSON, the one with the fewest entries first; then '1' to only count. Gives how many entries carry all of them. */
export const PURGE = `
local tags = cjson.decode(ARGV[1])
local dry = ARGV[2] == '1'
${REMOVE}
${MATCHES}
if not dry then
  redis.call('ZADD', '${PURGED}', redis.call('INCR', '${PURGE_COUNT}'), tags[1])
  redis.call('ZREMRANGEBYRANK', '${PURGED}', 0, -${REMEMBERED + 1})
end
local found = 0
for _, key in ipairs(redis.call('ZRANGE', '${INDEX}' .. tags[1], 0, -1)) do
  if matches(key, tags) then
    found = found + 1
    if not dry then remove(key) end
  end
end
return found
`;

/** ARGV: the layers and the days as JSON. Gives entries and bytes a layer, the counts of all time, and those of each day. */
export const READ_STATS = `
local asked = cjson.decode(ARGV[1])
local sizes = {}
for at, layer in ipairs(asked.layers) do
  local entries = 0
  local bytes = 0
  for _, key in ipairs(redis.call('ZRANGE', '${INDEX}layer:' .. layer, 0, -1)) do
    local length = redis.call('STRLEN', key)
    if length > 0 then entries = entries + 1 end
    bytes = bytes + length
  end
  sizes[at] = {entries, bytes}
end
local days = {}
for at, day in ipairs(asked.days) do days[at] = redis.call('HGETALL', '${STATS}:' .. day) end
return {sizes, redis.call('HGETALL', '${STATS}'), days}
`;

/** An entry without its value: its key, what is known about it, its bytes, the milliseconds that it has left. */
const VIEW = `
local function view(key)
  return {key, redis.call('GET', key .. ':about') or '', redis.call('STRLEN', key), redis.call('PTTL', key)}
end
`;

/** ARGV: tags as JSON, as for a purge; how many to pass over; how many to give. Gives how many there are, and those. */
export const LIST = `
local tags = cjson.decode(ARGV[1])
${MATCHES}
${VIEW}
local total = 0
local shown = {}
for _, key in ipairs(redis.call('ZRANGE', '${INDEX}' .. tags[1], 0, -1, 'REV')) do
  if matches(key, tags) then
    if total >= tonumber(ARGV[2]) and #shown < tonumber(ARGV[3]) then shown[#shown + 1] = view(key) end
    total = total + 1
  end
end
return {total, shown}
`;

/** ARGV: layers and keys in turn; last, of how many of a layer's newest entries to tell. Gives the entry and those, a key. */
export const EXPLAIN = `
${VIEW}
local told = {}
for at = 1, #ARGV - 1, 2 do
  local near = {}
  for _, key in ipairs(redis.call('ZRANGE', '${INDEX}layer:' .. ARGV[at], 0, tonumber(ARGV[#ARGV]) - 1, 'REV')) do
    near[#near + 1] = view(key)
  end
  told[#told + 1] = {view(ARGV[at + 1]), near}
end
return told
`;
