/**
 * Errors in the form that clients of OpenAI's API read: what every path below /v1 is answered with. Pure.
 * The codes and statuses are those of all other routes; of the details only the place and the reason of the first issue are told.
 */
import * as z from "zod";
import { ERROR_STATUS, type ErrorCode, type Failure } from "./errors.ts";

const TYPES = [
  "invalid_request_error",
  "authentication_error",
  "permission_error",
  "rate_limit_error",
  "server_error",
] as const;
type ErrorType = (typeof TYPES)[number];

export const OpenAiErrorBody = z
  .strictObject({
    error: z.strictObject({
      message: z.string(),
      type: z.enum(TYPES),
      /** The field that is refused, where it is one. */
      param: z.string().nullable(),
      code: z.enum(Object.keys(ERROR_STATUS) as [ErrorCode, ...ErrorCode[]]), // keys of a const object
      request_id: z.string(),
    }),
  })
  .meta({ id: "OpenAiError" });
export type OpenAiErrorBody = z.infer<typeof OpenAiErrorBody>;

const Issues = z.object({ issues: z.array(z.object({ path: z.string(), message: z.string() })).min(1) });
const Named = z.object({ param: z.string() });

export function toOpenAiError({ code, message, details }: Failure, requestId: string): OpenAiErrorBody {
  const issue = Issues.safeParse(details).data?.issues[0];
  const param = issue?.path ?? Named.safeParse(details).data?.param;
  return {
    error: {
      message:
        issue === undefined ? message : `${message}: ${issue.path === "" ? "" : `${issue.path}: `}${issue.message}`,
      ...{ type: typeOf(code), param: param || null, code, request_id: requestId },
    },
  };
}

/** Of the statuses that OpenAI's client tries again by itself, those that would be the same again, or cost another answer. */
const NOT_AGAIN: ErrorCode[] = [
  ...(["conflict", "budget_exceeded", "not_configured", "cache_miss"] as const),
  ...(["upstream_auth", "tool_loop_limit", "invalid_model_output"] as const),
];

/** What that client is told of it; it obeys. */
export function retryHeaders(code: ErrorCode): Record<string, string> {
  return NOT_AGAIN.includes(code) ? { "x-should-retry": "false" } : {};
}

/** Whether a path is answered in this form, in its errors too. */
export function isOpenAiPath(path: string): boolean {
  return path === "/v1" || path.startsWith("/v1/");
}

function typeOf(code: ErrorCode): ErrorType {
  const status = ERROR_STATUS[code];
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}
