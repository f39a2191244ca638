/**
 * The Worker of the tools, reached by main's service bindings only. State: the settings and what is made from them, and what was last known
 * of the toolbox, once per isolate; the rest is in its objects. Refuses nothing itself: handler.ts and toolbox/answers.ts do.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";
import { WorkerEntrypoint, waitUntil } from "cloudflare:workers";
import { createLog, type Served } from "../../contracts/log.ts";
import type { CallContext } from "../../contracts/tools.ts";
import type { NewServer, Toolbox, ToolCaller, ToolRecord } from "../../contracts/toolbox.ts";
import { newId } from "../../contracts/ids.ts";
import type { LlmAgent } from "../../contracts/llm.ts";
import { type Config, findProblems, readConfig } from "./env.ts";
import { handleRequest, readAsker, type Setup } from "./handler.ts";
import { createBreaker } from "./gateway/breaker.ts";
import { createGateway } from "./gateway/gateway.ts";
import { createVault, type Vault } from "./gateway/secret.ts";
import { createEmbedder } from "./knowledge/embedder.ts";
import { createSpentWriter } from "./knowledge/spent.ts";
import { createKnowledgeStore } from "./knowledge/store.ts";
import { MonitorObject as MonitorHost } from "./monitor/object.ts";
import { makeParts, type Outside } from "./parts.ts";
import type { LogLine } from "./run.ts";
import { objectNameOf } from "./session/handle.ts";
import { McpSessionObject as SessionHost, type SessionDeps } from "./session/object.ts";
import { type AnswersDeps, createAnswers } from "./toolbox/answers.ts";
import { ToolboxObject as ToolboxHost } from "./toolbox/object.ts";
import { createSnapshots, type KeptSnapshot } from "./toolbox/snapshots.ts";

interface Env {
  MCP_SESSIONS: DurableObjectNamespace;
  TOOLBOX: DurableObjectNamespace;
  MONITOR: DurableObjectNamespace;
  LLM_AGENT: Fetcher;
}

const randomBytes = (length: number): Uint8Array => crypto.getRandomValues(new Uint8Array(length));
const newRequestId = (): string => crypto.randomUUID();
const now = (): number => Date.now();

const kept: KeptSnapshot = { atMs: 0 };
const breaker = createBreaker(now);

interface Whole {
  setup: Setup;
  outside: Outside & { vault: Vault | undefined };
}
let whole: Whole | undefined;

function read(env: Env): Whole {
  if (whole === undefined) {
    const config = readConfig(env);
    const problems = findProblems(env);
    if (problems.length > 0)
      console.log(JSON.stringify({ service: "mcp", route: "start", error: "settings", problems }));
    const outside = makeOutside(env, config.ok ? config.config : undefined);
    const setup = config.ok ? { ...config, parts: makeParts(config.config, outside) } : config;
    whole = { setup, outside };
  }
  return whole;
}

function makeOutside(env: Env, config: Config | undefined): Whole["outside"] {
  const { secretKey, database, vectors } = config ?? {};
  const log = makeLog(config);
  const onFault = (reason: string) => log({ service: "mcp", route: "postgres", error: reason });
  const reach = (url: string, init: RequestInit) => fetch(url, init);
  const snapshots = createSnapshots({ ask: () => toolboxOf(env).snapshot(), now, kept });
  const vault = secretKey === undefined ? undefined : createVault(secretKey);
  const gateway = createGateway({
    ...{ fetch: reach, vault, breaker, now },
    async setPending(server, list) {
      const change = await toolboxOf(env).setPending(server, list);
      if (change.ok) snapshots.put(change.snapshot);
      log({ service: "mcp", audit: "server_changed", server, hash: list.hash });
    },
  });
  // A count that is lost is no reason to fail.
  const record = (one: ToolRecord) =>
    waitUntil(
      monitorOf(env)
        .record(one)
        .catch(() => undefined),
    );
  const store = database && createKnowledgeStore({ ...database, onFault });
  const onMissing = (reason: string) => log({ service: "mcp", route: "embeddings", error: reason });
  const makeId = () => newId(now(), randomBytes);
  const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
  const embedder =
    vectors &&
    store &&
    createEmbedder({
      ...{ ...vectors, llm: llmOf(env), onFault: onMissing, waitUntil },
      writeSpent: createSpentWriter({ ...vectors, store, newId: makeId, now, wait }),
    });
  return { snapshots, vault, gateway, log, record, fetch: reach, store, embedder, newId: makeId };
}

/** Holds nothing itself: a request's id goes with its own calls. */
const asking = new AsyncLocalStorage<Served>();

function makeLog({ logLevel: level = "info", logSample: sample = 1 }: Partial<Config> = {}) {
  const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
  const log = createLog({
    level,
    sample,
    served: () => asking.getStore(),
    sha256,
    write: (text) => console.log(text),
  });
  return (line: LogLine): void => log({ service: "mcp", ...line });
}

// A namespace's stubs answer their object's methods by RPC; their types are made from classes, which is more than is needed here.
type MonitorAnswers = AnswersDeps["monitor"];
type ToolboxStub = AnswersDeps["toolbox"];
interface MonitorStub extends MonitorAnswers {
  record(record: ToolRecord): Promise<void>;
}
const ONLY = "deployment";
const toolboxOf = ({ TOOLBOX: objects }: Env) => objects.get(objects.idFromName(ONLY)) as unknown as ToolboxStub;
const monitorOf = ({ MONITOR: objects }: Env) => objects.get(objects.idFromName(ONLY)) as unknown as MonitorStub;

// As of a namespace's stubs.
const llmOf = ({ LLM_AGENT: llm }: Env) => llm as unknown as Pick<LlmAgent, "embed">;

export default class McpWorker extends WorkerEntrypoint<Env> {
  override fetch(request: Request): Promise<Response> {
    const { MCP_SESSIONS: sessions } = this.env;
    const { setup, outside } = read(this.env);
    const asker = readAsker(request.headers, newRequestId);
    const deps = { setup, now, log: outside.log, newId: () => asker.requestId, randomBytes };
    return asking.run(asker, () =>
      handleRequest(request, {
        ...deps,
        session: (userId, handle) => sessions.get(sessions.idFromName(objectNameOf(userId, handle))),
      }),
    );
  }
}

/** What main asks beside the protocol. */
export class ToolboxEntrypoint extends WorkerEntrypoint<Env> implements Toolbox {
  list(caller: ToolCaller) {
    return asking.run(caller, () => this.#answers().list(caller));
  }

  call(call: Parameters<Toolbox["call"]>[0], caller: ToolCaller) {
    return asking.run(caller, () => this.#answers().call(call, caller));
  }

  setEnabled(name: string, enabled: boolean, by: CallContext) {
    return this.#answers().setEnabled(name, enabled, by);
  }

  addServer(server: NewServer, by: CallContext) {
    return this.#answers().addServer(server, by);
  }

  listServers() {
    return this.#answers().listServers();
  }

  checkServer(name: string, by: CallContext) {
    return this.#answers().checkServer(name, by);
  }

  acceptServer(name: string, hash: string, by: CallContext) {
    return this.#answers().acceptServer(name, hash, by);
  }

  removeServer(name: string, by: CallContext) {
    return this.#answers().removeServer(name, by);
  }

  stats(hours: number) {
    return this.#answers().stats(hours);
  }

  noteHits(names: string[]) {
    return this.#answers().noteHits(names);
  }

  #answers(): Toolbox {
    const { parts } = requireSetup(this.env);
    const { snapshots, gateway, vault, log } = read(this.env).outside;
    const objects = { toolbox: toolboxOf(this.env), monitor: monitorOf(this.env) };
    return createAnswers({ ...parts, ...objects, snapshots, gateway, vault, now, log });
  }
}

export class McpSessionObject extends SessionHost<Env> {
  constructor(state: DurableObjectState, env: Env) {
    super(state, env, makeSessionDeps(env));
  }

  override fetch(request: Request): Promise<Response> {
    return asking.run(readAsker(request.headers, newRequestId), () => super.fetch(request));
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
    const { userId = "", ...asker } = readAsker(headers, newRequestId);
    return { ...asker, userId };
  };
  return { parts, now, idleMs: config.sessionIdleMs, readCaller };
}

function requireSetup(env: Env): Setup & { ok: true } {
  const { setup } = read(env);
  if (!setup.ok) throw new Error(`malformed settings: ${setup.badKeys.join(", ")}`);
  return setup;
}
