/**
 * The Redis stand-in's contract, spoken through the real @upstash/redis client: the same cases on the engine in memory
 * and, when TEST_REDIS_URL names one, on a real Redis whose chosen database is emptied by them.
 */
import { Redis } from "@upstash/redis";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { connectRedisBackend, createMemoryBackend, type Outcome } from "./redis/backend.ts";
import { serveRedis } from "./redis.ts";
import type { StandIn } from "./serve.ts";

const REAL = process.env["TEST_REDIS_URL"];
const TOKEN = "contract-token";

function client(standIn: StandIn, options: { token?: string; base64?: boolean } = {}): Redis {
  return new Redis({
    url: standIn.url,
    token: options.token ?? TOKEN,
    responseEncoding: options.base64 === false ? false : "base64",
    automaticDeserialization: false,
    enableAutoPipelining: false,
    enableTelemetry: false,
    retry: false,
  });
}

async function post(
  standIn: StandIn,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(standIn.url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}`, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

describe.each([
  { backend: "memory", redisUrl: undefined, skip: false },
  { backend: "real Redis (set TEST_REDIS_URL to run)", redisUrl: REAL, skip: REAL === undefined },
])("Redis over REST: $backend", ({ redisUrl, skip }) => {
  let standIn: StandIn;
  let redis: Redis;
  let skippedMs = 0;

  const run = async (...command: (string | number)[]): Promise<unknown> => {
    const reply = await post(standIn, "/", command);
    // The stand-in's own JSON: a result or an error, compared as it is.
    const body = await reply.json<{ result?: unknown; error?: string }>();
    return body.error ?? body.result;
  };
  const untilGone = async (key: string): Promise<void> => {
    if (redisUrl === undefined) skippedMs += 1_000;
    await expect.poll(() => run("EXISTS", key), { timeout: 5_000 }).toBe(0);
  };

  describe.skipIf(skip)("contract", () => {
    beforeAll(async () => {
      standIn = await serveRedis({
        token: TOKEN,
        now: () => Date.now() + skippedMs,
        ...(redisUrl === undefined ? {} : { redisUrl }),
      });
      redis = client(standIn);
    });
    afterAll(() => standIn.close());
    beforeEach(async () => {
      await redis.flushdb();
    });

    it("keeps text as it was, in both encodings", async () => {
      for (const value of ["plain", "", "OK", "123", "null", '{"a":1}', "naïve 日本語 😀", "line\nbreak\u0000"]) {
        expect(await redis.set("key", value)).toBe("OK");
        expect(await redis.get("key")).toBe(value);
        expect(await client(standIn, { base64: false }).get("key")).toBe(value);
      }
      expect(await redis.get("absent")).toBeNull();
    });

    it("sets under conditions and returns the old value", async () => {
      expect(await redis.set("key", "1", { nx: true })).toBe("OK");
      expect(await redis.set("key", "2", { nx: true })).toBeNull();
      expect(await redis.set("key", "3", { xx: true, get: true })).toBe("1");
      expect(await redis.set("absent", "4", { xx: true })).toBeNull();
      expect(await redis.exists("absent")).toBe(0);
      expect(await run("set", "key", "5", "nx", "xx")).toBe("ERR syntax error");
    });

    it("expires keys, and says for how long they live", async () => {
      await redis.set("key", "v", { ex: 100 });
      expect(await redis.ttl("key")).toBe(100);
      await redis.set("key", "w", { keepTtl: true });
      expect(await redis.ttl("key")).toBe(100);
      await redis.set("key", "x");
      expect(await redis.ttl("key")).toBe(-1);
      expect(await redis.ttl("absent")).toBe(-2);
      expect(await redis.expire("key", 50)).toBe(1);
      expect(await redis.expire("key", 60, "NX")).toBe(0);
      expect(await redis.pttl("key")).toBeGreaterThan(49_000);

      await redis.set("short", "v", { px: 20 });
      await untilGone("short");
      expect(await redis.get("short")).toBeNull();
      expect(await run("set", "key", "v", "EX", 0)).toBe("ERR invalid expire time in 'set' command");
      expect(await run("setex", "key", -1, "v")).toBe("ERR invalid expire time in 'setex' command");
    });

    it("counts in 64 bits and keeps the expiry of a counter", async () => {
      await redis.set("n", "9", { ex: 100 });
      expect(await redis.incr("n")).toBe(10);
      expect(await redis.decrby("n", 4)).toBe(6);
      expect(await redis.ttl("n")).toBe(100);
      await redis.set("n", "9223372036854775807");
      expect(await run("INCR", "n")).toBe("ERR increment or decrement would overflow");
      await redis.set("n", "1.5");
      expect(await run("INCR", "n")).toBe("ERR value is not an integer or out of range");
    });

    it("keeps hashes, sets and sorted sets", async () => {
      expect(await redis.hset("h", { a: "1", b: "2" })).toBe(2);
      expect(await run("HGETALL", "h")).toEqual(["a", "1", "b", "2"]);
      expect(await redis.hincrby("h", "a", 5)).toBe(6);
      expect(await run("HMGET", "h", "a", "x")).toEqual(["6", null]);
      expect(await redis.sadd("s", "a", "b", "a")).toBe(2);
      expect((await redis.smembers("s")).sort()).toEqual(["a", "b"]);
      expect(
        await redis.zadd("z", { score: 3, member: "c" }, { score: 1, member: "a" }, { score: 2, member: "b" }),
      ).toBe(3);
      expect(await redis.zrange("z", 0, -1)).toEqual(["a", "b", "c"]);
      expect(await redis.zrange("z", "(1", "+inf", { byScore: true, offset: 0, count: 1 })).toEqual(["b"]);
      expect(await run("ZRANGE", "z", 0, 1, "REV", "WITHSCORES")).toEqual(["c", "3", "b", "2"]);
      expect(await run("ZRANGEBYSCORE", "z", "-inf", "(3", "LIMIT", 1, 5)).toEqual(["b"]);
      expect(await redis.zremrangebyrank("z", 0, -2)).toBe(2);
      expect(await redis.zremrangebyscore("z", 3, 3)).toBe(1);
      expect(await redis.exists("z")).toBe(0);
    });

    it("scans every key, page by page", async () => {
      const wanted = Array.from({ length: 35 }, (_, at) => `scan:${at}`).sort();
      await redis.mset(Object.fromEntries([...wanted, "other"].map((key) => [key, "v"])));
      const seen = new Set<string>();
      let cursor = "0";
      let pages = 0;
      do {
        const [next, keys] = await redis.scan(cursor, { match: "scan:*", count: 10 });
        for (const key of keys) seen.add(key);
        cursor = next;
        pages += 1;
      } while (cursor !== "0");
      expect([...seen].sort()).toEqual(wanted);
      expect(pages).toBeGreaterThan(1);
      expect(await redis.dbsize()).toBe(36);
    });

    it("answers a pipeline in order, failed commands beside good ones", async () => {
      const reply = await post(standIn, "/pipeline", [["set", "k", "v"], ["lpop"], ["hget", "k", "f"], ["get", "k"]]);
      expect(reply.status).toBe(200);
      expect(await reply.json()).toEqual([
        { result: "OK" },
        { error: expect.stringMatching(/^ERR /) },
        { error: "WRONGTYPE Operation against a key holding the wrong kind of value" },
        { result: "v" },
      ]);
      expect(await redis.pipeline().incr("n").incr("n").get("n").exec()).toEqual([1, 2, "2"]);
    });

    it("runs a transaction as one, and none of it when a command could never run", async () => {
      const values = await Promise.all(
        Array.from({ length: 20 }, () => redis.multi().incr("n").incr("n").get("n").exec<[number, number, string]>()),
      );
      for (const [first, second, text] of values) expect([second, text]).toEqual([first + 1, String(first + 1)]);

      const broken = await post(standIn, "/multi-exec", [["set", "k", "v"], ["nonsense"]]);
      expect([broken.status, await broken.json()]).toEqual([
        400,
        { error: "EXECABORT Transaction discarded because of previous errors." },
      ]);
      expect(await redis.exists("k")).toBe(0);
    });

    it.each([
      ["return 1 + 2 * 3 - 8 / 4 % 3", 5],
      ["return {1, 'two', {3}, nil, 5}", [1, "two", [3]]],
      ["return -2.7", -2],
      ["return nil", null],
      ["return false", null],
      ["return true", 1],
      ["return (not nil and 'a' or 'b') .. #'xyz' .. #{7, 8}", "a32"],
      ["return redis.call('GET', 'absent') == false", 1],
      ["return tonumber(redis.call('GET', 'absent') or '7') + 1", 8],
      ["redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])", "value"],
      ["local t = {} for i, v in ipairs({4, 5, 6}) do t[i] = v * 2 end return t", [8, 10, 12]],
      ["local n = 0 for i = 2, 5 do n = n + i end return n", 14],
      ["local n = 0 for i = 1, 6, 2 do n = n + i end return n", 9],
      [
        "local function f(a, b) if a < b then return 'less' elseif a == b then return 'same' else return 'more' end end return {f(1, 2), f(2, 2), f(3, 2)}",
        ["less", "same", "more"],
      ],
      ["local t = cjson.decode(ARGV[2]) return {t.a[2], t['b'].c, #t.none}", ["y", "z", 0]],
      ["local a = 1 if true then local a = 2 a = 3 end -- a comment\n return a", 1],
      ["return redis.call('ZADD', 'z', 1.5, 'm') + redis.call('ZSCORE', 'z', 'm')", 2],
      ["return {1, false, {ok = 'FINE'}, 'after'}", [1, null, "FINE", "after"]],
      ["return {redis.call('SET', 'k', 10 / 2).ok, redis.call('GET', 'k'), tostring(10 / 2)}", ["OK", "5", "5"]],
      ["return {redis.call('TYPE', KEYS[1]).ok, redis.call('SET', KEYS[1], 'OK', 'GET')}", ["none", null]],
      [
        "local ok, problem = pcall(redis.call, 'INCR', redis.call('PING').ok, 'x') return {ok, type(problem)}",
        [null, "string"],
      ],
      ["redis.call('SET', 'k', 'v') return redis.pcall('HGET', 'k', 'f').err:match('^%u+')", "WRONGTYPE"],
      ["local n = 0 while true do n = n + 1 if n > 3 then break end end repeat n = n * 2 until n > 9 return n", 16],
      [
        "local t = {3, 1, 2} table.sort(t) return {select('#', unpack(t)), table.concat(t, ','), ('x'):rep(3)}",
        [3, "1,2,3", "xxx"],
      ],
      [
        "return {cjson.encode({'a/b', {n = 1.5}, cjson.null}), cjson.encode({})}",
        [String.raw`["a\/b",{"n":1.5},null]`, "{}"],
      ],
      [
        "local t = cjson.decode('[null,{\"1\":2}]') return {t[1] == cjson.null and 'null', t[2]['1'], t[1]}",
        ["null", 2, null],
      ],
      ["return {#'naïve 😀', 'naïve 😀', [[// & | ~ goto]]} -- a // b", [11, "naïve 😀", "// & | ~ goto"]],
    ])("runs a script: %s", async (script, reply) => {
      const args = ["value", '{"a":["x","y"],"b":{"c":"z"},"none":[]}'];
      expect(await redis.eval(script, ["key"], args)).toEqual(reply);
    });

    it.each([
      ["return undefined_name", /^ERR /],
      ["x = 1", /^ERR /],
      ["local t = {} return t.a.b", /^ERR /],
      ["return nil .. 'x'", /^ERR /],
      ["return redis.call('HGET', KEYS[1], 'f')", /^WRONGTYPE /],
      ["return redis.call('nonsense')", /^ERR /],
      ["return redis.call()", /^ERR /],
      ["return redis.call('SET', 'k', {})", /^ERR /],
      ["return redis.call('EVAL', 'return 1', 0)", /^ERR /],
      ["return {err = 'CODE text'}", /^CODE text/],
      ["return redis.error_reply('CODE text')", /^CODE text/],
      ["error({err = 'CODE text'})", /^CODE text/],
      ["error('text')", /^ERR .*text/],
      ["string.upper = nil", /^ERR /],
      ["table.insert(redis, 1)", /^ERR /],
      ["return cjson.decode('{')", /^ERR /],
      ["return cjson.encode({1 / 0})", /^ERR /],
      ["return cjson.encode({redis.call})", /^ERR /],
      ...["os", "io", "require", "dofile", "loadfile", "print", "debug", "package", "utf8", "null", "host"].map(
        (name): [string, RegExp] => [`return ${name}`, /^ERR .*nonexistent global/],
      ),
    ])("ends a script that fails, with what ran before it done: %s", async (script, error) => {
      await redis.set("key", "text");
      expect(await run("EVAL", `redis.call('INCR', 'n') ${script}`, 1, "key")).toMatch(error);
      expect(await redis.get("n")).toBe("1");
    });

    it.each(["return 1 +", "return 7 // 2", "return 6 & 2", "return ~1", "goto out ::out::", "local a <const> = 1"])(
      "runs nothing of a script that is no Lua 5.1: %s",
      async (script) => {
        expect(await run("EVAL", `redis.call('INCR', 'n') ${script}`, 0)).toMatch(/^ERR Error compiling script/);
        expect(await redis.get("n")).toBeNull();
      },
    );

    it("carries long texts through a script", async () => {
      const long = "naïve 😀 ".repeat(100_000);
      expect(
        await run("EVAL", "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])", 1, "key", long),
      ).toBe(long);
    });

    it("counts a script as one command", async () => {
      const { commands } = standIn.stats();
      await redis.eval("for i = 1, 9 do redis.call('INCR', 'n') end return 1", [], []);
      expect(standIn.stats()["commands"]).toBe(Number(commands) + 1);
    });

    it("refuses what is no command, with Redis's words and status 400", async () => {
      expect((await post(standIn, "/", ["get"])).status).toBe(400);
      expect(await run("get")).toBe("ERR wrong number of arguments for 'get' command");
      expect(await run("nonsense", "a")).toMatch(/^ERR unknown command 'nonsense'/);
      for (const body of ["", "{", "null", "[]", '[["get","k"]]', '[{"a":1}]']) {
        expect([body, (await post(standIn, "/", body)).status]).toEqual([body, 400]);
      }
    });

    it("lets nobody in without the token", async () => {
      await expect(client(standIn, { token: "wrong" }).get("k")).rejects.toThrow("WRONGPASS");
      expect((await post(standIn, "/", ["get", "k"], { authorization: "" })).status).toBe(401);
    });
  });
});

describe("scripts of the Redis in memory", () => {
  const backend = createMemoryBackend({ now: Date.now });

  it.each([
    [["EVAL", "return ARGV[1]", "0", "a\u0000b"], "NUL"],
    [["EVAL", "return 'a\\0b'", "0"], "NUL"],
    [["EVAL", "return redis.call('SET', 'k', 'a\\0b')", "0"], "NUL"],
    [["EVAL", "return cjson.decode(ARGV[1])", "0", String.raw`"a\u0000b"`], "NUL"],
    [["EVAL", "return cjson.decode('[1e300]')", "0"], "64 bits"],
    [["EVAL", "return cjson.encode({1, nil, 3})", "0"], "holes"],
  ])("refuse what would not come through unharmed: %j", async (command, reason) => {
    expect(await backend.run([command], { atomic: false })).toEqual([{ error: expect.stringContaining(reason) }]);
  });

  it("tell a bug of the stand-in from a failure of the script", async () => {
    const broken = createMemoryBackend({
      now: () => {
        throw new Error("no clock");
      },
    });
    const command = ["EVAL", "return redis.call('SET', 'k', 'v', 'EX', 1)", "0"];
    await expect(broken.run([command], { atomic: false })).rejects.toThrow("no clock");
    expect(await backend.run([["EVAL", "return 1", "0"]], { atomic: false })).toEqual([{ result: 1 }]);
  });
});

describe.skipIf(REAL === undefined)("memory against real Redis (set TEST_REDIS_URL to run)", () => {
  const key = fc.constantFrom("a", "b");
  const member = fc.constantFrom("x", "y", "z", "10");
  const number = fc.oneof(
    fc.constantFrom("0", "1", "-1", "2", "inf", "-inf", "(1", "1.5", "x"),
    fc.integer({ min: -9, max: 9 }).map(String),
  );
  /** Long ones alone: nothing runs out, however slow the machine is. */
  const seconds = fc.constantFrom("0", "-1", "1.5", "x", "inf", "100", "200");
  const c = (...parts: (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string[]> =>
    fc.tuple(...parts.map((part) => (typeof part === "string" ? fc.constant(part) : part)));
  const flag = (...words: string[]): fc.Arbitrary<string> => fc.constantFrom(...words);
  const command = fc.oneof(
    c("GET", key),
    c("SET", key, number),
    c("SET", key, member, flag("NX", "XX", "GET", "KEEPTTL", "nope")),
    c("SET", key, member, "EX", seconds),
    c("SET", key, member, flag("NX", "XX"), "GET"),
    c("SETEX", key, seconds, member),
    c("MGET", key, key),
    c("MSET", key, member, key),
    c("MSET", key, member, key, member),
    c("DEL", key, key),
    c("EXISTS", key, key),
    c("EXPIRE", key, flag("100", "200", "-1", "x"), flag("NX", "XX", "GT", "LT")),
    c("EXPIRE", key, flag("100", "0")),
    c("TTL", key),
    c("TYPE", key),
    c("INCR", key),
    c("INCRBY", key, number),
    c("DECRBY", key, number),
    c("STRLEN", key),
    c("DBSIZE"),
    c("get"),
    c("PING"),
    c("HSET", key, member, number),
    c("HSET", key, member),
    c("HGET", key, member),
    c("HMGET", key, member, member),
    c("HLEN", key),
    c("HDEL", key, member, member),
    c("HINCRBY", key, member, number),
    c("SADD", key, member, member),
    c("SREM", key, member),
    c("SMEMBERS", key),
    c("SCARD", key),
    c("SISMEMBER", key, member),
    c("ZADD", key, number, member),
    c("ZADD", key, flag("NX", "XX", "GT", "LT", "CH", "INCR"), number, member, number, member),
    c("ZADD", key, flag("GT", "XX", "CH"), flag("CH", "NX", "INCR"), number, member),
    c("ZREM", key, member),
    c("ZCARD", key),
    c("ZSCORE", key, member),
    c("ZINCRBY", key, number, member),
    c("ZRANGE", key, number, number),
    c("ZRANGE", key, number, number, "WITHSCORES"),
    c("ZRANGE", key, number, number, "BYSCORE"),
    c("ZRANGE", key, number, number, "REV", "BYSCORE", "LIMIT", number, number),
    c("ZRANGE", key, number, number, "LIMIT", "0", "1"),
    c("ZRANGEBYSCORE", key, number, number, "WITHSCORES", "LIMIT", number, number),
    c("ZREMRANGEBYSCORE", key, number, number),
    c("ZREMRANGEBYRANK", key, number, number),
  );

  it("answers any script of commands alike", async () => {
    const real = await connectRedisBackend(REAL ?? "");
    try {
      await fc.assert(
        fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: 25 }), async (script) => {
          const memory = createMemoryBackend({ now: Date.now });
          await real.run([["FLUSHDB"]], { atomic: false });
          expect(comparable(script, await memory.run(script, { atomic: false }))).toEqual(
            comparable(script, await real.run(script, { atomic: false })),
          );
        }),
        { numRuns: 1_000 },
      );
    } finally {
      await real.close();
    }
  }, 60_000);

  /** Nobody's promise: the order of a set's members, which of two errors in one command is told, and the second in which it is asked. */
  function comparable(script: string[][], outcomes: Outcome[]): unknown[] {
    return outcomes.map((outcome, at) => {
      if ("error" in outcome) return "error";
      const { result } = outcome;
      // One of the two may be asked later than the other.
      if (script[at]?.[0] === "TTL" && typeof result === "number" && result > 0) return Math.round(result / 100);
      return script[at]?.[0] === "SMEMBERS" && Array.isArray(result) ? new Set(result) : result;
    });
  }
});

describe("Redis stand-in: faults", () => {
  let standIn: StandIn;
  let redis: Redis;

  beforeAll(async () => {
    standIn = await serveRedis({ token: TOKEN, delay: async () => undefined });
    redis = client(standIn);
    await redis.set("key", "value");
  });
  afterAll(() => standIn.close());
  beforeEach(() => standIn.control({ mode: "up", latencyMs: 0 }));

  it.each(["down", "refuse"])("%s: no connection gets an answer, the control port still does", async (mode) => {
    const before = standIn.stats();
    standIn.control({ mode });
    await expect(redis.get("key")).rejects.toThrow();
    const stats: unknown = await (await fetch(`${standIn.url}/_stats`)).json();
    expect(stats).toMatchObject({ in_flight: 0, aborted: before.aborted, commands: before["commands"] });
    const up = await fetch(`${standIn.url}/_control`, { method: "POST", body: '{"mode":"up"}' });
    expect(up.status).toBe(200);
    expect(await redis.get("key")).toBe("value");
  });

  it("500 is a page, 401 is Upstash's error", async () => {
    standIn.control({ mode: "500" });
    const page = await post(standIn, "/", ["get", "key"]);
    expect([page.status, page.headers.get("content-type")]).toEqual([500, "text/html"]);
    standIn.control({ mode: "401" });
    await expect(redis.get("key")).rejects.toThrow("WRONGPASS");
  });

  it("blackhole never answers; the client that leaves is counted", async () => {
    standIn.control({ mode: "blackhole" });
    const { aborted, calls } = standIn.stats();
    const leave = new AbortController();
    const asked = fetch(standIn.url, { method: "POST", body: '["ping"]', signal: leave.signal });
    await standIn.until((stats) => stats.calls === calls + 1 && stats.in_flight === 1);
    leave.abort();
    await expect(asked).rejects.toThrow();
    expect(await standIn.until((stats) => stats.in_flight === 0)).toMatchObject({ aborted: aborted + 1 });
  });

  it("slow waits three seconds, latency_ms as long as told", async () => {
    const waits: number[] = [];
    const slow = await serveRedis({ delay: async (ms) => void waits.push(ms) });
    slow.control({ mode: "slow", latencyMs: 20 });
    await client(slow).ping();
    expect(waits).toEqual([20, 3_000]);
    await slow.close();
  });

  it("oom refuses what could grow, and only that", async () => {
    standIn.control({ mode: "oom" });
    await expect(redis.set("key", "more")).rejects.toThrow("OOM command not allowed");
    expect(await redis.get("key")).toBe("value");
    const pipeline = await post(standIn, "/pipeline", [
      ["get", "key"],
      ["incr", "n"],
      ["del", "none"],
    ]);
    expect([pipeline.status, await pipeline.json()]).toEqual([
      200,
      [{ result: "value" }, { error: expect.stringContaining("OOM") }, { result: 0 }],
    ]);
  });

  it("max_requests refuses everything, huge answers ten megabytes", async () => {
    standIn.control({ mode: "max_requests" });
    await expect(redis.get("key")).rejects.toThrow("ERR max requests limit exceeded");
    standIn.control({ mode: "huge" });
    expect((await redis.get<string>("key"))?.length).toBe(10_000_000);
  });

  it("refuses a mode, a field or a method that it does not know", async () => {
    const control = (body: string): Promise<Response> => fetch(`${standIn.url}/_control`, { method: "POST", body });
    for (const body of ['{"mode":"nope"}', '{"latency_ms":-1}', '{"extra":1}', "[]", "{"]) {
      expect([body, (await control(body)).status]).toEqual([body, 400]);
    }
    expect((await fetch(`${standIn.url}/_control`)).status).toBe(405);
  });
});
