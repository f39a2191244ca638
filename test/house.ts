/**
 * Boots the three Workers on real workerd with the stand-ins around them: one house a test file, isolated by fresh users and
 * sessions. State lives in this process and ends with `close()`. Nothing but loopback is ever reached.
 */
import { createTestHarness, type TestHarness } from "wrangler";
import { createEventDecoder, isTerminal, type NumberedEvent } from "../contracts/events.ts";
import { migrate } from "../db/migrate.ts";
import type { Sql } from "../db/open.ts";
import {
  LOCAL_LLM_KEY,
  LOCAL_REDIS_TOKEN,
  localSettings,
  makeUserWithKey,
  newSecretKey,
  openLocalSql,
} from "../dev/local.ts";
import { serveLlm } from "../dev/stand-ins/llm.ts";
import { serveNeon } from "../dev/stand-ins/neon.ts";
import { serveRedis } from "../dev/stand-ins/redis.ts";
import type { StandIn } from "../dev/stand-ins/serve.ts";

export const CONFIGS = ["wrangler.toml", "wrangler.llm-agent.toml", "wrangler.mcp.toml"];

export interface Tenant {
  id: string;
  apiKey: string;
}

export interface House {
  harness: TestHarness;
  url: URL;
  llm: StandIn;
  redis: StandIn;
  neon: StandIn;
  sql: Sql;
  newTenant(role?: "user" | "admin"): Promise<Tenant>;
  /** A request to main; an object as `body` is sent as JSON. */
  call(path: string, options?: CallOptions): Promise<Response>;
  close(): Promise<void>;
}

export interface CallOptions {
  as?: Tenant;
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export async function openHouse(settings: Record<string, string> = {}): Promise<House> {
  const [llm, redis, neon] = await Promise.all([
    serveLlm({ apiKey: LOCAL_LLM_KEY, pace: { firstTokenMs: 0, tokensPerSecond: Number.POSITIVE_INFINITY } }),
    serveRedis({ token: LOCAL_REDIS_TOKEN }),
    serveNeon(),
  ]);
  const sql = openLocalSql(neon.url);
  await migrate(sql, "up");
  const secretKey = newSecretKey();
  const secrets = {
    // What a developer's own .dev.vars may say must not reach a test.
    ...{ VLLM_BASE_URL: "", VLLM_API_KEY: "", LLM_TYPE: "", TEMPERATURE: "", MAX_TOKENS: "" },
    ...localSettings({ llm: llm.url, redis: redis.url, neon: neon.url }, secretKey),
    ...settings,
  };
  const root = new URL("..", import.meta.url).pathname;
  const harness = createTestHarness({ root, workers: CONFIGS.map((configPath) => ({ configPath, secrets })) });
  const { url } = await harness.listen();
  let tenants = 0;

  return {
    ...{ harness, url, llm, redis, neon, sql },
    newTenant(role = "user") {
      tenants += 1;
      return makeUserWithKey(sql, { username: `tenant-${tenants}`, role, secretKey });
    },
    call(path, { as, method, body, headers = {}, signal } = {}) {
      return fetch(new URL(path, url), {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: {
          ...(as && { authorization: `Bearer ${as.apiKey}` }),
          ...(body !== undefined && { "content-type": "application/json" }),
          ...headers,
        },
        ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
        ...(signal && { signal }),
      });
    },
    async close() {
      await harness.close();
      await Promise.all([llm.close(), redis.close(), neon.close()]);
    },
  };
}

/** Reads a stream's events; with `until`, leaves as soon as it holds. */
export async function readEvents(
  response: Response,
  until: (event: NumberedEvent) => boolean = isTerminal,
): Promise<NumberedEvent[]> {
  const decoder = createEventDecoder();
  const events: NumberedEvent[] = [];
  if (response.body === null) throw new Error("no body");
  // Leaving the loop cancels the body: the viewer hangs up.
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    for (const event of decoder.push(text)) {
      events.push(event);
      if (until(event)) return events;
    }
  }
  return events;
}

/** The answer that a stream's deltas make. */
export function answerOf(events: NumberedEvent[]): string {
  return events.flatMap((event) => (event.event === "delta" ? [event.data.content] : [])).join("");
}

/** Waits until a query gives as many rows as expected: what is written behind a reply arrives after it. */
export async function untilRows(
  house: House,
  count: number,
  query: string,
  ...parameters: unknown[]
): Promise<Record<string, unknown>[]> {
  for (;;) {
    const seen = Number(house.neon.stats()["queries"]);
    const rows = await house.sql.query(query, parameters);
    if (rows.length >= count) return rows;
    // Our own query is one; the next one is a Worker's.
    await house.neon.until((stats) => Number(stats["queries"]) > seen + 1);
  }
}
