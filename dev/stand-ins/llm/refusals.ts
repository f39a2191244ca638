/**
 * Replies of the LLM stand-in that are no completion: OpenAI's errors, and what a gateway or a login wall in front of
 * it sends. State: none; the clock is an argument.
 */
import type { ServerResponse } from "node:http";
import type { Refusal } from "./faults.ts";
import { replyJson } from "../serve.ts";

export interface ApiError {
  status: number;
  type: string;
  code: string | null;
  message: string;
}

export const NO_KEY: ApiError = {
  status: 401,
  type: "invalid_request_error",
  code: "invalid_api_key",
  message: "You didn't provide a valid API key.",
};

const TOO_LONG =
  "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens in the messages. Please reduce their length.";

/** As older servers of vLLM send it; newer ones have it under `error`. */
function vllmError(message: string, code: number): object {
  return { object: "error", message, type: "BadRequestError", param: null, code };
}

export function replyError(response: ServerResponse, { status, ...error }: ApiError): void {
  replyJson(response, status, errorBody(error));
}

export function errorBody(error: Omit<ApiError, "status">): object {
  return { error: { message: error.message, type: error.type, param: null, code: error.code } };
}

export function replyRefusal(response: ServerResponse, refusal: Refusal, nowMs: number): void {
  switch (refusal.kind) {
    case "status":
      return replyPage(response, refusal.status, `${refusal.status} | upstream.internal`);
    case "rate":
      if (refusal.retryAfter !== "none") response.setHeader("retry-after", retryAfter(refusal.retryAfter, nowMs));
      return replyError(response, {
        status: 429,
        type: "requests",
        code: "rate_limit_exceeded",
        message: "Rate limit reached.",
      });
    case "login":
      response.setHeader("location", "/cdn-cgi/access/login/upstream.internal");
      return replyPage(response, 302, "Sign in");
    case "html200":
      return replyPage(response, 200, "Sign in");
    case "unknown":
      return replyError(response, {
        status: 404,
        type: "invalid_request_error",
        code: "model_not_found",
        message: "The model does not exist or you do not have access to it.",
      });
    case "invalid":
      return replyJson(response, refusal.status, vllmError("top_p must be in (0, 1], got 7.", refusal.status));
    case "context":
      if (refusal.form !== "openai") {
        const error = vllmError(TOO_LONG, 400);
        return replyJson(response, 400, refusal.form === "flat" ? error : { error });
      }
      return replyError(response, {
        status: 400,
        type: "invalid_request_error",
        code: "context_length_exceeded",
        message: "This model's maximum context length is 8192 tokens.",
      });
    case "stall":
      return;
  }
}

function replyPage(response: ServerResponse, status: number, title: string): void {
  const page = `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`;
  response.writeHead(status, { "content-type": "text/html; charset=utf-8" }).end(page);
}

function retryAfter(value: "date" | number, nowMs: number): string {
  return value === "date" ? new Date(nowMs + 2_000).toUTCString() : String(value);
}
