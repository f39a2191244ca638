/**
 * llm-agent: models and providers, over RPC only; the public fetch answers 404 for everything. State: what this isolate knows of the
 * nodes and of their models, plain data both. A stream's bytes cross natively: no JavaScript runs per token here. One log line a call,
 * never a prompt or a key.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Embeddings, EmbedRequest } from "../../contracts/embeddings.ts";
import { ok, type Result } from "../../contracts/errors.ts";
import type {
  AgentHealth,
  Broken,
  Completion,
  LlmAgent,
  ModelContext,
  ModelInfo,
  ModelRequest,
  ModelStream,
  Reported,
  WhenGone,
} from "../../contracts/llm.ts";
import { createLog, type Log } from "../../contracts/log.ts";
import { namedModels } from "../../contracts/models.ts";
import { traceIdOf } from "../../contracts/trace.ts";
import type { CallContext } from "../../contracts/tools.ts";
import { readConfig } from "./env.ts";
import { Fleet } from "./fleet.ts";
import { brokeOff, type CallDeps, complete, embed, openStream } from "./generate.ts";
import { checkHealth, type Discovered, listModels } from "./models.ts";
import { relay } from "./relay.ts";

const fleet = new Fleet();
const discovered: Discovered = new Map();

/** Methods that are not RPC are #private: TypeScript's `private` can be called over RPC. */
export class LlmAgentEntrypoint extends WorkerEntrypoint<object> implements LlmAgent {
  stream(request: ModelRequest, context: ModelContext, gone?: WhenGone): Promise<Reported<ModelStream>> {
    return this.#logged("llm.stream", context, request.model, async (deps) => {
      const left = whenLeft(gone);
      const opened = await this.#heard(left, openStream({ request, context, left }, deps));
      if (!opened.ok) return opened;
      const { endpoint, first, rest, release, paid } = opened.value;
      const { id: route, provider, dialect } = endpoint;
      const { readable: body, ended } = relay(first, rest);
      void this.#heard(left, ended.then(release));
      return ok({ model: request.model, provider, route, dialect, body, ...(paid && { paid }) });
    });
  }

  generate(request: ModelRequest, context: ModelContext, gone?: WhenGone): Promise<Reported<Completion>> {
    return this.#logged("llm.generate", context, request.model, (deps) => {
      const left = whenLeft(gone);
      return this.#heard(left, complete({ request, context, left }, deps));
    });
  }

  /** Keeps the call alive until its caller's leaving is heard of, and no longer: what it was counted for must be counted down. */
  #heard<T>(left: Promise<void> | undefined, work: Promise<T>): Promise<T> {
    if (left !== undefined) this.ctx.waitUntil(Promise.race([left, work]));
    return work;
  }

  embed(request: EmbedRequest, context: CallContext): Promise<Result<Embeddings>> {
    return this.#logged("llm.embed", context, request.model, (deps) => embed({ request, context }, deps));
  }

  brokeOff(request: Broken, context: CallContext): Promise<Reported<null>> {
    return this.#logged("llm.broke-off", context, request.model, (deps) => Promise.resolve(brokeOff(request, deps)));
  }

  models(context: CallContext): Promise<Result<ModelInfo[]>> {
    return this.#logged("llm.models", context, undefined, (deps) => listModels(deps, discovered));
  }

  async health(context: CallContext): Promise<AgentHealth> {
    const report = await this.#logged("llm.health", context, undefined, async (deps) => ok(await checkHealth(deps)));
    return report.ok ? report.value : { providers: [], problems: [] };
  }

  async #logged<T>(
    route: string,
    { requestId, traceparent }: CallContext,
    model: string | undefined,
    run: (deps: CallDeps) => Promise<Result<T>>,
  ): Promise<Reported<T>> {
    const deps = createDeps(readConfig(this.env, tellMalformed));
    const startedMs = Date.now();
    let status = "thrown";
    try {
      const result = await run(deps);
      status = result.ok ? "ok" : result.error.code;
      return { ...result, attempts: deps.attempts, openNodes: fleet.openNodes(Date.now()) };
    } finally {
      const line = { service: "llm-agent", request_id: requestId, route, model, nodes: deps.trace };
      const level = status === "ok" || status === "cancelled" ? "info" : "warn";
      makeLog(deps.config)({ level, ...line, trace_id: traceIdOf(traceparent), status, ms: Date.now() - startedMs });
    }
  }
}

/** A caller that vanished breaks its stub. */
function whenLeft(gone: WhenGone | undefined): Promise<void> | undefined {
  return gone?.().catch(() => undefined);
}

export default {
  fetch: () => new Response("not found", { status: 404 }),
};

/** No line here names a user. The default model is main's setting: where MODELS does not name it, main's line does. */
function makeLog({ LOG_LEVEL: level, LOG_SAMPLE: sample, MODELS: registry }: CallDeps["config"]): Log {
  const models = new Set(namedModels(registry));
  return createLog({ level, sample, models, sha256: () => "", write: (text) => console.log(text) });
}

function tellMalformed(keys: string[]): void {
  const problems = keys.map((key) => `${key} is malformed`);
  console.log(JSON.stringify({ service: "llm-agent", route: "start", error: "settings", problems }));
}

function createDeps(config: CallDeps["config"]): CallDeps {
  return {
    ...{ config, fleet, trace: [], attempts: [], random: Math.random, now: Date.now },
    fetch: (input, init) => fetch(input, init),
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    newCallId: () => `call_${crypto.randomUUID()}`,
  };
}
