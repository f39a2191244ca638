/**
 * Upstash's REST protocol over an in-memory Redis or, given a `redisUrl`, over a real one.
 * State lives in the backend and ends with it. Refuses: other methods and paths, a missing or wrong bearer token,
 * bodies that are no list of commands. `node dev/stand-ins/redis.ts` serves on PORT (0: any), forwarding to REDIS_URL if set.
 */
import type { ServerResponse } from "node:http";
import type { Reply } from "./redis/args.ts";
import { connectRedisBackend, createMemoryBackend, type Outcome, type RedisBackend } from "./redis/backend.ts";
import { failedWhole, REDIS_MODES, withCommandFaults } from "./redis/faults.ts";
import { RedisError } from "./redis/keyspace.ts";
import {
  replyJson,
  serveStandIn,
  type StandIn,
  type StandInCall,
  type StandInOptions,
  type StandInRequest,
} from "./serve.ts";

export interface RedisStandInOptions extends Pick<StandInOptions, "delay"> {
  port?: number;
  /** The only token that is let in; left out: any that is not empty. */
  token?: string;
  /** Forward to this Redis instead of the engine in memory. */
  redisUrl?: string;
  /** Milliseconds since 1970, for expiry in memory. */
  now?: () => number;
}

export async function serveRedis(options: RedisStandInOptions = {}): Promise<StandIn> {
  const { token, redisUrl, now = Date.now, ...server } = options;
  const backend = redisUrl === undefined ? createMemoryBackend({ now }) : await connectRedisBackend(redisUrl);
  let served = 0;

  const standIn = await serveStandIn({
    ...server,
    name: "redis",
    modes: REDIS_MODES,
    counters: ["commands", "reads"],
    handle: async (request, response, call) => {
      if (await failedWhole(response, call)) return;
      if (!isAuthorized(request, token))
        return replyJson(response, 401, { error: "WRONGPASS invalid or missing auth token" });
      if (request.method !== "POST") return replyJson(response, 405, { error: "ERR method not allowed" });
      served += 1;
      response.setHeader("upstash-sync-token", `stand-in-${served}`);
      await answer(request, response, { backend: withCommandFaults(backend, call.mode), call });
    },
  });
  return {
    ...standIn,
    close: async () => {
      await standIn.close();
      await backend.close();
    },
  };
}

interface Answering {
  backend: RedisBackend;
  call: StandInCall;
}

async function answer(request: StandInRequest, response: ServerResponse, { backend, call }: Answering): Promise<void> {
  const encoded = request.headers["upstash-encoding"] === "base64";
  const run = async (commands: string[][], atomic: boolean): Promise<Outcome[]> => {
    call.count("commands", commands.length);
    call.count("reads", commands.filter(([name]) => name?.toUpperCase() === "MGET").length);
    const outcomes = await backend.run(commands, { atomic });
    return outcomes.map((outcome) =>
      "result" in outcome && encoded ? { result: encodeBase64(outcome.result) } : outcome,
    );
  };

  try {
    if (request.path === "/") {
      const [outcome = { error: "ERR empty command" }] = await run([parseCommand(parseList(request.body))], false);
      replyJson(response, "error" in outcome ? 400 : 200, outcome);
    } else if (request.path === "/pipeline" || request.path === "/multi-exec") {
      replyJson(response, 200, await run(parseList(request.body).map(parseCommand), request.path === "/multi-exec"));
    } else {
      replyJson(response, 404, { error: "ERR not found" });
    }
  } catch (error) {
    if (!(error instanceof RedisError)) throw error;
    replyJson(response, 400, { error: error.message });
  }
}

function isAuthorized(request: StandInRequest, token: string | undefined): boolean {
  const given = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  return given !== undefined && (token === undefined || given === token);
}

function parseList(body: Buffer): unknown[] {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"));
    if (Array.isArray(parsed)) return parsed;
  } catch {
    // Falls through: the same answer as for any other body that is no list.
  }
  throw new RedisError("ERR failed to parse the request body as a list");
}

function parseCommand(command: unknown): string[] {
  if (!Array.isArray(command) || command.length === 0) throw new RedisError("ERR empty command");
  return command.map((arg: unknown) => {
    if (typeof arg === "string") return arg;
    if (typeof arg === "number" || typeof arg === "boolean") return String(arg);
    throw new RedisError("ERR arguments must be strings, numbers or booleans");
  });
}

/** Every string, at any depth, but the status OK, which Upstash sends as it is. */
function encodeBase64(reply: Reply): Reply {
  if (reply === "OK") return reply;
  return encodeInside(reply);
}

function encodeInside(reply: Reply): Reply {
  if (Array.isArray(reply)) return reply.map(encodeInside);
  return typeof reply === "string" ? Buffer.from(reply, "utf8").toString("base64") : reply;
}

if (import.meta.main) {
  const { PORT, REDIS_URL } = process.env;
  const standIn = await serveRedis({
    port: Number(PORT ?? 0),
    ...(REDIS_URL === undefined ? {} : { redisUrl: REDIS_URL }),
  });
  console.log(`redis stand-in: ${standIn.url}`);
}
