/**
 * The Worker of the tools, reached by main's service bindings only. State: the settings and what is made from them, and what was last known
 * of the toolbox, once per isolate; the rest is in its objects. Refuses nothing itself: handler.ts and toolbox/answers.ts do.
 */
import { WorkerEntrypoint, waitUntil } from "cloudflare:workers";
import type { CallContext } from "../../contracts/tools.ts";
import type { Toolbox, ToolCaller, ToolFigures, ToolRecord } from "../../contracts/toolbox.ts";
import { readConfig } from "./env.ts";
import { handleRequest, readAsker, type Setup } from "./handler.ts";
import { MonitorObject as MonitorHost } from "./monitor/object.ts";
import { makeParts } from "./parts.ts";
import type { LogLine } from "./run.ts";
import { objectNameOf } from "./session/handle.ts";
import { McpSessionObject as SessionHost, type SessionDeps } from "./session/object.ts";
import { createAnswers } from "./toolbox/answers.ts";
import { type Snapshot, ToolboxObject as ToolboxHost } from "./toolbox/object.ts";
import { createSnapshots, type KeptSnapshot } from "./toolbox/snapshots.ts";

interface Env {
  MCP_SESSIONS: DurableObjectNamespace;
  TOOLBOX: DurableObjectNamespace;
  MONITOR: DurableObjectNamespace;
}

const log = (line: LogLine): void => console.log(JSON.stringify(line));
const newId = (): string => crypto.randomUUID();
const now = (): number => Date.now();

const kept: KeptSnapshot = { atMs: 0 };
let setup: Setup | undefined;

function readSetup(env: Env): Setup {
  if (setup === undefined) {
    const read = readConfig(env);
    setup = read.ok ? { ...read, parts: makeParts(read.config, makeOutside(env)) } : read;
  }
  return setup;
}

function makeOutside(env: Env) {
  return {
    snapshots: createSnapshots(() => toolboxOf(env).snapshot(), now, kept),
    log,
    fetch: (url: string, init: RequestInit) => fetch(url, init),
    // A count that is lost is no reason to fail.
    record: (record: ToolRecord) =>
      waitUntil(
        monitorOf(env)
          .record(record)
          .catch(() => undefined),
      ),
  };
}

// A namespace's stubs answer their object's methods by RPC; their types are made from classes, which is more than is needed here.
interface ToolboxStub {
  snapshot(): Promise<Snapshot>;
  setEnabled(tool: string, enabled: boolean): Promise<Snapshot>;
}
interface MonitorStub {
  record(record: ToolRecord): Promise<void>;
  stats(hours: number): Promise<ToolFigures[]>;
  noteHits(tools: string[]): Promise<void>;
}
const ONLY = "deployment";
const toolboxOf = ({ TOOLBOX: objects }: Env) => objects.get(objects.idFromName(ONLY)) as unknown as ToolboxStub;
const monitorOf = ({ MONITOR: objects }: Env) => objects.get(objects.idFromName(ONLY)) as unknown as MonitorStub;

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

/** What main asks beside the protocol. */
export class ToolboxEntrypoint extends WorkerEntrypoint<Env> implements Toolbox {
  list(caller: ToolCaller) {
    return this.#answers().list(caller);
  }

  call(call: Parameters<Toolbox["call"]>[0], caller: ToolCaller) {
    return this.#answers().call(call, caller);
  }

  setEnabled(name: string, enabled: boolean, by: CallContext) {
    return this.#answers().setEnabled(name, enabled, by);
  }

  stats(hours: number) {
    return this.#answers().stats(hours);
  }

  noteHits(names: string[]) {
    return this.#answers().noteHits(names);
  }

  #answers(): Toolbox {
    const { parts } = requireSetup(this.env);
    const { snapshots } = makeOutside(this.env);
    return createAnswers({ ...parts, snapshots, toolbox: toolboxOf(this.env), monitor: monitorOf(this.env), now, log });
  }
}

export class McpSessionObject extends SessionHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, makeSessionDeps(env));
  }
}

export class MonitorObject extends MonitorHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, now);
  }
}

export class ToolboxObject extends ToolboxHost<Env> {}

function makeSessionDeps(env: Env): SessionDeps {
  const { parts, config } = requireSetup(env);
  const readCaller: SessionDeps["readCaller"] = (headers) => {
    const { userId = "", ...asker } = readAsker(headers, newId);
    return { ...asker, userId };
  };
  return { parts, now, idleMs: config.sessionIdleMs, readCaller };
}

function requireSetup(env: Env): Setup & { ok: true } {
  const read = readSetup(env);
  if (!read.ok) throw new Error(`malformed settings: ${read.badKeys.join(", ")}`);
  return read;
}
