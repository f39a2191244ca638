/**
 * An OpenAI-compatible server of Chat Completions and embeddings whose one model, `demo`, answers from the prompt and says what it is;
 * every other name is served by it too. Faults by model name or control port: the grammar is in llm/faults.ts.
 * State: counters in serve.ts and a serial number for ids. Refuses: /v1 without a bearer key, unknown paths, bad bodies.
 * `node dev/stand-ins/llm.ts` serves on PORT (0: any) at DEMO_TOKENS_PER_SECOND and DEMO_FIRST_TOKEN_MS.
 */
import type { ServerResponse } from "node:http";
import { BILL_COUNTERS, openBill } from "./llm/bill.ts";
import { composeCompletion } from "./llm/completion.ts";
import { parseEmbeddingsRequest, sendEmbeddings } from "./llm/embeddings.ts";
import { parseFaults, parseModel, type Faults } from "./llm/faults.ts";
import { type ApiError, NO_KEY, replyError, replyRefusal } from "./llm/refusals.ts";
import { type CompletionRequest, type FileRule, parseCompletionRequest } from "./llm/request.ts";
import { createPrefixes, type PrefixReuse } from "./llm/prefixes.ts";
import { sendReply, sendStream, type Pace } from "./llm/send.ts";
import { createSlots, type TakeSlot } from "./llm/slots.ts";
import {
  replyJson,
  serveStandIn,
  type StandIn,
  type StandInCall,
  type StandInOptions,
  type StandInRequest,
} from "./serve.ts";

export interface LlmStandInOptions extends Pick<StandInOptions, "delay"> {
  port?: number;
  /** The only key that is let in; left out: any that is not empty. */
  apiKey?: string;
  /** Milliseconds since 1970. */
  now?: () => number;
  /** A pace of 0 ms and Infinity tokens a second never waits. */
  pace?: Partial<Pace>;
  /** Whose attached files it takes: OpenAI's PDF, or none, as vLLM. */
  files?: FileRule;
  /** Completions at once; others wait for their turn. Left out: any number. */
  slots?: number;
}

const LIFELIKE: Pace = { firstTokenMs: 150, tokensPerSecond: 60, prefillCharsPerMs: Number.POSITIVE_INFINITY };

const MODELS = [
  { id: "demo", owned_by: "basechat" },
  { id: "gpt-4o-mini", owned_by: "basechat" },
  { id: "gpt-4o", owned_by: "basechat" },
  { id: "text-embedding-3-small", owned_by: "basechat" },
  {
    id: "meta-llama/Llama-3.1-8B-Instruct",
    owned_by: "vllm",
    root: "meta-llama/Llama-3.1-8B-Instruct",
    parent: null,
    max_model_len: 8_192,
  },
];

export async function serveLlm(options: LlmStandInOptions = {}): Promise<StandIn> {
  const { apiKey, now = Date.now, pace, files = "pdf", slots = Number.POSITIVE_INFINITY, ...server } = options;
  let serial = 0;
  const context: Context = {
    ...{ apiKey, now, files },
    pace: { ...LIFELIKE, ...pace },
    measure: createPrefixes(),
    takeSlot: createSlots(slots),
    nextId: () => `chatcmpl-demo-${(serial += 1)}`,
  };

  return serveStandIn({
    ...server,
    name: "llm",
    modes: (mode) => mode !== "" && parseFaults(mode) !== undefined,
    counters: ["chunks_sent", "prompt_chars", "reused_chars", "reusable_chars", "texts_embedded", ...BILL_COUNTERS],
    handle: (request, response, call) => {
      const faults = call.mode === "up" ? {} : (parseFaults(call.mode) ?? {});
      if (faults.refusal !== undefined) return replyRefusal(response, faults.refusal, now());
      return route(request, response, { ...context, call, faults });
    },
  });
}

interface Context {
  apiKey: string | undefined;
  now: () => number;
  files: FileRule;
  pace: Pace;
  measure: (request: CompletionRequest) => PrefixReuse;
  takeSlot: TakeSlot;
  nextId: () => string;
}

interface Answering extends Context {
  call: StandInCall;
  /** Those of the control port. */
  faults: Faults;
}

async function route(request: StandInRequest, response: ServerResponse, answering: Answering): Promise<void> {
  const { method, path, headers } = request;
  // As in vLLM, the key guards /v1 only.
  if (path === "/health") return void response.writeHead(200).end();
  if (path === "/version") return replyJson(response, 200, { version: "0.0.0-stand-in" });

  const key = /^Bearer (\S+)$/i.exec(headers.authorization ?? "")?.[1];
  if (key === undefined || (answering.apiKey !== undefined && key !== answering.apiKey))
    return replyError(response, NO_KEY);
  if (method === "GET" && path === "/v1/models") {
    const created = Math.floor(answering.now() / 1000);
    return replyJson(response, 200, {
      object: "list",
      data: MODELS.map((model) => ({ ...model, object: "model", created })),
    });
  }
  if (method === "POST" && path === "/v1/chat/completions") return complete(request, response, answering);
  if (method === "POST" && path === "/v1/embeddings") return embed(request, response, answering);
  replyError(response, {
    status: 404,
    type: "invalid_request_error",
    code: "unknown_url",
    message: "Unknown request URL.",
  });
}

async function complete(request: StandInRequest, response: ServerResponse, answering: Answering): Promise<void> {
  const asked = parseCompletionRequest(request.body, answering.files);
  if ("problem" in asked) return replyError(response, badRequest(asked.problem));
  const named = parseModel(asked.model);
  if (named === undefined) return replyError(response, UNKNOWN_FAULT);
  const { call, pace, now, nextId, measure, takeSlot } = answering;
  const faults = { ...named.faults, ...answering.faults };
  if (faults.refusal !== undefined) return replyRefusal(response, faults.refusal, now());

  const completion = composeCompletion(asked, faults, { id: nextId(), created: Math.floor(now() / 1000) });
  const { promptChars, reusedChars, reusableChars } = measure(asked);
  call.count("prompt_chars", promptChars);
  call.count("reused_chars", reusedChars);
  call.count("reusable_chars", reusableChars);
  const bill = openBill(call, completion);
  const sending = { response, call, faults, pace, bill, newChars: promptChars - reusedChars };
  const release = await takeSlot(request.signal);
  try {
    await (asked.stream ? sendStream(completion, asked.usage, sending) : sendReply(completion, sending));
  } finally {
    bill.close();
    release();
  }
}

async function embed(request: StandInRequest, response: ServerResponse, answering: Answering): Promise<void> {
  const asked = parseEmbeddingsRequest(request.body);
  if ("problem" in asked) return replyError(response, badRequest(asked.problem));
  const named = parseModel(asked.model);
  if (named === undefined) return replyError(response, UNKNOWN_FAULT);
  const { call, now } = answering;
  const faults = { ...named.faults, ...answering.faults };
  if (faults.refusal !== undefined) return replyRefusal(response, faults.refusal, now());
  sendEmbeddings(asked, { response, faults, call });
}

function badRequest(message: string): ApiError {
  return { status: 400, type: "invalid_request_error", code: null, message };
}

const UNKNOWN_FAULT: ApiError = { ...badRequest("No such fault of the demo model."), code: "unknown_fault" };

if (import.meta.main) {
  const { PORT, DEMO_TOKENS_PER_SECOND, DEMO_FIRST_TOKEN_MS } = process.env;
  const standIn = await serveLlm({
    port: Number(PORT ?? 0),
    pace: {
      firstTokenMs: Number(DEMO_FIRST_TOKEN_MS ?? LIFELIKE.firstTokenMs),
      tokensPerSecond: Number(DEMO_TOKENS_PER_SECOND ?? LIFELIKE.tokensPerSecond),
    },
  });
  console.log(`llm stand-in: ${standIn.url}/v1`);
}
