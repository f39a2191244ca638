/**
 * Every reply of every test against the API's document: its status, its media type and its JSON are what the document says of the route.
 * State: validators, made once. Reads only JSON, from a copy of the reply.
 */
import { type Schema, Validator } from "@cfworker/json-schema";
import * as z from "zod";
import { ERROR_STATUS, ErrorBody, type ErrorCode } from "../contracts/errors.ts";
import { OpenAiErrorBody } from "../contracts/openai-errors.ts";
import { listRoutes } from "../dev/routes.ts";
import { failuresOf } from "../workers/main/http/failures.ts";
import { type ApiResponse, describeApi, type Operation } from "../workers/main/http/openapi.ts";
import type { Route } from "../workers/main/http/route.ts";

/** A request as it was sent, and the reply that it got. */
export interface Exchange {
  method: string;
  /** With the query, as it was written. */
  path: string;
  response: Response;
}

export const ROUTES = listRoutes();
export const DOCUMENT = describeApi(ROUTES);

/** What is answered before a route is found, or where there is none. */
const WITHOUT_ROUTE: ErrorCode[] = ["not_found", "method_not_allowed", "forbidden", "uri_too_long", "internal"];

/** Undefined, or what does not fit the document. */
export async function findMismatch({ method, path, response }: Exchange): Promise<string | undefined> {
  const { status } = response;
  const type = response.headers.get("content-type")?.split(";")[0] ?? null;
  const problem = await findProblem({ method, path, response });
  return problem && `${method} ${path} answered ${status} ${type ?? "without a body"}: ${problem}`;
}

async function findProblem({ method, path, response }: Exchange): Promise<string | undefined> {
  const route = findRoute(method === "HEAD" ? "GET" : method, path);
  const { status, headers } = response;
  if (method === "OPTIONS" && status === 204) return undefined; // a preflight
  if (route === undefined) return findForeign(response);
  const operation = operationOf(route);
  const documented = resolve(operation.responses[status]);
  if (documented === undefined) {
    const known = Object.keys(operation.responses).join(", ");
    return `the document has no such status for ${operation.operationId}, only ${known}; ${await preview(response)}`;
  }
  const type = headers.get("content-type")?.split(";")[0];
  if (method === "HEAD") return undefined;
  if (type === undefined) return documented.content && response.body !== null ? "the reply names no type" : undefined;
  if (documented.content?.[type] === undefined) {
    return `the document has no such type for it, only ${Object.keys(documented.content ?? {}).join(", ") || "an empty body"}`;
  }
  if (type !== "application/json") return undefined;
  const body: unknown = await response.clone().json();
  return findInJson(documented, body, `${operation.operationId} ${status}`) ?? findCode(route, body);
}

/** An error of any path. */
export const AnyError = z.union([ErrorBody, OpenAiErrorBody]);

/** A reply that belongs to no route: an error envelope, nothing else. */
async function findForeign(response: Response): Promise<string | undefined> {
  if (response.body === null) return undefined; // of HEAD
  const parsed = AnyError.safeParse(isJson(response) ? await response.clone().json() : undefined);
  if (!parsed.success) return "there is no such route, and it is no error";
  const { code } = parsed.data.error;
  return WITHOUT_ROUTE.includes(code) && ERROR_STATUS[code] === response.status ? undefined : `${code} without a route`;
}

/** An error's code must be one that the route says it can fail with. */
function findCode(route: Route, body: unknown): string | undefined {
  const parsed = AnyError.safeParse(body);
  if (!parsed.success) return undefined;
  const { code } = parsed.data.error;
  const codes = failuresOf(route);
  return codes.includes(code) ? undefined : `\`fails\` of the route does not name ${code}`;
}

const validators = new Map<string, Validator>();

function findInJson({ content }: ApiResponse, body: unknown, name: string): string | undefined {
  let validator = validators.get(name);
  if (validator === undefined) {
    const schema: Schema = { ...content?.["application/json"]?.schema, components: DOCUMENT.components };
    validators.set(name, (validator = new Validator(schema, "2020-12", false)));
  }
  const { valid, errors } = validator.validate(body);
  if (valid) return undefined;
  const [deepest] = errors.toSorted((a, b) => b.instanceLocation.length - a.instanceLocation.length);
  return `${deepest?.instanceLocation}: ${deepest?.error} in ${JSON.stringify(body).slice(0, 400)}`;
}

export function operationOf({ method, path }: Route): Operation {
  const operation = DOCUMENT.paths[path]?.[method.toLowerCase()];
  if (operation === undefined) throw new Error(`${method} ${path} is not in the document`);
  return operation;
}

/** A response as it is described, also where it is shared. */
function resolve(response: Operation["responses"][string] | undefined): ApiResponse | undefined {
  if (response === undefined || "description" in response) return response;
  const name = response.$ref.split("/").at(-1) ?? "";
  return DOCUMENT.components.responses[name];
}

const patterns = ROUTES.map((route) => ({
  route,
  pattern: new RegExp(`^${route.path.replaceAll(".", String.raw`\.`).replaceAll(/\{\w+\}/g, "[^/]+")}$`),
}));

function findRoute(method: string, path: string): Route | undefined {
  const { pathname } = new URL(`http://house${path}`); // without the dots that fetch resolves
  return patterns.find(({ route, pattern }) => route.method === method && pattern.test(pathname))?.route;
}

function isJson({ headers }: Response): boolean {
  return headers.get("content-type")?.startsWith("application/json") ?? false;
}

/** What can be asked at a path, as Allow lists it. */
export function methodsAt(path: string): string[] {
  const methods = patterns.flatMap(({ route, pattern }) => (pattern.test(path) ? [route.method] : []));
  return [...new Set(methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method])))].sort();
}

async function preview(response: Response): Promise<string> {
  return isJson(response) ? (await response.clone().text()).slice(0, 400) : "";
}
