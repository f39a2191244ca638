/** Refuses a URL without end, before anything reads it. Pure. */
import type { MiddlewareHandler } from "hono";
import { AppError } from "../../../contracts/errors.ts";
import type { AppContext } from "./context.ts";

const MAX_URL_CHARS = 16 * 1_024;
const MAX_QUERY_VALUES = 100;

export const refuseLongUris: MiddlewareHandler<AppContext> = async ({ req: { url } }, next) => {
  const query = url.indexOf("?");
  const values = query < 0 ? 0 : url.slice(query, MAX_URL_CHARS).split("&").length;
  if (url.length > MAX_URL_CHARS || values > MAX_QUERY_VALUES) {
    throw new AppError(
      "uri_too_long",
      `a URL may have ${MAX_URL_CHARS} characters and ${MAX_QUERY_VALUES} values at most`,
    );
  }
  await next();
};
