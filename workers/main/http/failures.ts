/** Which error codes a route can answer with: those of its kind, and those that it names itself. Pure. */
import type { ErrorCode } from "../../../contracts/errors.ts";
import type { Route } from "./route.ts";

/** An unknown name in the query, a body where none belongs; a page of a foreign origin; a URL without end; a bug. */
const OF_EVERY_ROUTE: ErrorCode[] = ["invalid_request", "forbidden", "uri_too_long", "internal"];
/** The account is asked, and Postgres by it when it was asleep. */
const OF_CREDENTIALS: ErrorCode[] = ["unauthorized", "not_configured", "overloaded", "db_unavailable", "db_timeout"];
const OF_OTHER_USERS: ErrorCode[] = ["not_found"];
const OF_JSON_BODIES: ErrorCode[] = ["invalid_json", "payload_too_large", "unsupported_media_type"];

export function failuresOf({ access, others, body, fails = [] }: Route): ErrorCode[] {
  const codes = [
    ...OF_EVERY_ROUTE,
    ...(access === "open" ? [] : OF_CREDENTIALS),
    ...(others === undefined ? [] : OF_OTHER_USERS),
    ...(body === undefined || body === "raw" ? [] : OF_JSON_BODIES),
    ...fails,
  ];
  return [...new Set(codes)];
}
