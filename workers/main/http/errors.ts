/** Turns any thrown value into the error envelope of its path. A bug is logged by its name and answered dully. */
import type { Context } from "hono";
import { AppError, ERROR_STATUS, type Failure, toErrorBody } from "../../../contracts/errors.ts";
import { limitHeaders } from "../../../contracts/limits.ts";
import { isOpenAiPath, retryHeaders, toOpenAiError } from "../../../contracts/openai-errors.ts";
import type { Log } from "../../../contracts/log.ts";
import { challengeFor } from "./challenge.ts";
import type { AppContext } from "./context.ts";

export function respondToErrors(log: Log) {
  return function respondToError(error: Error, context: Context<AppContext>): Response {
    if (error instanceof AppError) {
      const { failure, cause } = error;
      const name = cause instanceof Error ? cause.name : undefined;
      if (cause !== undefined)
        log({ service: "main", request_id: context.get("requestId"), error: failure.code, cause: name });
      return respondToFailure(failure, context);
    }
    log({ service: "main", request_id: context.get("requestId"), error: error.name, stack: frames(error) });
    return respondToFailure({ code: "internal", message: "something went wrong on our side" }, context);
  };
}

export function respondToFailure(failure: Failure, context: Context<AppContext>): Response {
  context.set("code", failure.code);
  const isOpenAi = isOpenAiPath(context.req.path);
  const body = (isOpenAi ? toOpenAiError : toErrorBody)(failure, context.get("requestId"));
  const retryAfter = failure.retryAfterSeconds;
  const challenge = challengeFor(failure, context.req.url);
  return Response.json(body, {
    status: ERROR_STATUS[failure.code],
    headers: {
      ...limitHeaders(failure.limits),
      ...(isOpenAi && retryHeaders(failure.code)),
      ...(retryAfter !== undefined && { "retry-after": String(Math.ceil(retryAfter)) }),
      ...(challenge !== undefined && { "www-authenticate": challenge }),
    },
  });
}

/** Where it happened, without the message, which can hold anything. */
function frames(error: Error): string[] {
  return (error.stack ?? "")
    .split("\n")
    .filter((line) => line.startsWith("    at "))
    .slice(0, 8);
}
