/**
 * llm-agent: models and providers, over RPC only. No state; the public fetch answers 404 for everything.
 * A stream's bytes cross natively: no JavaScript runs per token here. One log line a call, never a prompt or a key.
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { Result } from "../../contracts/errors.ts";
import type {
  Completion,
  LlmAgent,
  ModelInfo,
  ModelRequest,
  ModelStream,
  ProviderHealth,
  WhenGone,
} from "../../contracts/llm.ts";
import type { CallContext } from "../../contracts/tools.ts";
import { readConfig } from "./env.ts";
import { type CallDeps, complete, openStream } from "./generate.ts";
import { checkHealth, listModels } from "./models.ts";
import { relay } from "./relay.ts";

/** Methods that are not RPC are #private: TypeScript's `private` can be called over RPC. */
export class LlmAgentEntrypoint extends WorkerEntrypoint<object> implements LlmAgent {
  stream(request: ModelRequest, context: CallContext, gone?: WhenGone): Promise<Result<ModelStream>> {
    return this.#logged("llm.stream", context, request, async (deps) => {
      const opened = await openStream(request, deps, gone);
      if (!opened.ok) return opened;
      const { provider, first, rest } = opened.value;
      const { name, dialect } = provider;
      return { ok: true, value: { model: request.model, provider: name, dialect, body: relay(first, rest) } };
    });
  }

  generate(request: ModelRequest, context: CallContext, gone?: WhenGone): Promise<Result<Completion>> {
    return this.#logged("llm.generate", context, request, (deps) => complete(request, deps, gone));
  }

  models(context: CallContext): Promise<Result<ModelInfo[]>> {
    return this.#logged("llm.models", context, {}, listModels);
  }

  async health(context: CallContext): Promise<ProviderHealth[]> {
    const report = await this.#logged("llm.health", context, {}, async (deps) => ({
      ok: true as const,
      value: await checkHealth(deps),
    }));
    return report.ok ? report.value : [];
  }

  async #logged<T>(
    route: string,
    { requestId }: CallContext,
    { model, modelType }: Partial<ModelRequest>,
    run: (deps: CallDeps) => Promise<Result<T>>,
  ): Promise<Result<T>> {
    const config = readConfig(this.env);
    const startedMs = Date.now();
    const line = { service: "llm-agent", request_id: requestId, route, provider: modelType ?? config.LLM_TYPE, model };
    let status = "thrown";
    try {
      const result = await run(createDeps(config));
      status = result.ok ? "ok" : result.error.code;
      return result;
    } finally {
      console.log(JSON.stringify({ ...line, status, ms: Date.now() - startedMs }));
    }
  }
}

export default {
  fetch: () => new Response("not found", { status: 404 }),
};

function createDeps(config: CallDeps["config"]): CallDeps {
  return {
    config,
    fetch: (input, init) => fetch(input, init),
    now: Date.now,
    wait: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    newCallId: () => `call_${crypto.randomUUID()}`,
  };
}
