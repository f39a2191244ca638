/** One script, one reply that fits its schema; anything else is a failure. No state. */
import type * as z from "zod";
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import type { RedisStore } from "./redis.ts";

/** A script runs to its end also when nobody waits any more: what has no answer may have happened. */
const TIMEOUT_MS = 30_000;

export async function askRedis<T>(
  redis: RedisStore | undefined,
  { script, args, reply }: { script: string; args: string[]; reply: z.ZodType<T> },
): Promise<Result<T>> {
  if (redis === undefined) return fail("not_configured", "the cache is not configured: UPSTASH_REDIS_REST_URL");
  const answer = await redis.run(script, args, TIMEOUT_MS);
  const checked = answer.ok ? reply.safeParse(answer.value) : undefined;
  return checked?.success ? ok(checked.data) : fail("upstream_error", "the cache store did not answer");
}
