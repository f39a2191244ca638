/**
 * The Worker of the tools, reached by main's service binding only. State: the settings and what is made from them, once per isolate;
 * sessions are in their objects. Refuses nothing itself: handler.ts does.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { readConfig } from "./env.ts";
import { handleRequest, readAsker, type Setup } from "./handler.ts";
import { makeParts } from "./parts.ts";
import type { LogLine } from "./run.ts";
import { objectNameOf } from "./session/handle.ts";
import { McpSessionObject as SessionHost, type SessionDeps } from "./session/object.ts";

interface Env {
  MCP_SESSIONS: DurableObjectNamespace;
}

const log = (line: LogLine): void => console.log(JSON.stringify(line));
const newId = (): string => crypto.randomUUID();
const now = (): number => Date.now();

let setup: Setup | undefined;

function readSetup(env: Env): Setup {
  if (setup === undefined) {
    const read = readConfig(env);
    setup = read.ok ? { ...read, parts: makeParts(read.config, log) } : read;
  }
  return setup;
}

export default class McpWorker extends WorkerEntrypoint<Env> {
  override fetch(request: Request): Promise<Response> {
    const { MCP_SESSIONS: sessions } = this.env;
    return handleRequest(request, {
      ...{ setup: readSetup(this.env), now, newId, log },
      randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
      session: (userId, handle) => sessions.get(sessions.idFromName(objectNameOf(userId, handle))),
    });
  }
}

export class McpSessionObject extends SessionHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, makeSessionDeps(env));
  }
}

function makeSessionDeps(env: Env): SessionDeps {
  const read = readSetup(env);
  // Its requests have passed the handler, which lets nobody in while a setting is malformed.
  if (!read.ok) throw new Error(`malformed settings: ${read.badKeys.join(", ")}`);
  return {
    parts: read.parts,
    now,
    idleMs: read.config.sessionIdleMs,
    readCaller(headers) {
      const { requestId, userId = "" } = readAsker(headers, newId);
      return { requestId, userId };
    },
  };
}
