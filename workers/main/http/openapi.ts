/**
 * The API's document in OpenAPI 3.1, made from the list of routes: what a route checks and answers is what is described.
 * Pure. Holds no address and no setting, so it may be shown to anyone.
 */
import { ErrorBody, ERROR_STATUS, type ErrorCode, isRetryable } from "../../../contracts/errors.ts";
import { isOpenAiPath, OpenAiErrorBody } from "../../../contracts/openai-errors.ts";
import { failuresOf } from "./failures.ts";
import { type JsonSchema, JsonSchemas } from "./json-schemas.ts";
import { type Answer, type Route, scopeOf } from "./route.ts";

const API_VERSION = "0.1.0";

export interface ApiDocument {
  openapi: string;
  info: JsonSchema;
  servers: JsonSchema[];
  tags: { name: string; description: string }[];
  /** Operations by path and by method in small letters. */
  paths: Record<string, Record<string, Operation>>;
  components: {
    schemas: Record<string, JsonSchema>;
    responses: Record<string, ApiResponse>;
    headers: Record<string, JsonSchema>;
    securitySchemes: Record<string, JsonSchema>;
  };
}

export interface Operation extends JsonSchema {
  operationId: string;
  responses: Record<string, ApiResponse | Reference>;
}

export interface ApiResponse {
  description: string;
  headers: Record<string, JsonSchema>;
  content?: Record<string, { schema: JsonSchema }>;
}

interface Reference {
  $ref: string;
}

const INFO = {
  title: "BaseChat",
  version: API_VERSION,
  summary: "A backend for chat applications",
  description:
    "Takes a message, lets a model answer it with tools, and gives the answer as JSON or as a stream of events. " +
    "Somebody else's session or turn is answered with 404, like a missing one. Fields and query names that are not described are refused.",
  license: { name: "MIT", identifier: "MIT" },
};

const TAGS: Record<string, string> = {
  auth: "Signing in and out, and API keys.",
  chat: "Turns: a message of the user and everything until its answer is complete.",
  docs: "This document, as data and as a page.",
  health: "Whether it runs, and what it depends on.",
  history: "Users, sessions and their messages.",
  llm: "Models, and a model asked directly, without a session.",
  v1: "The same for clients of OpenAI's API: errors have its form here.",
  mcp: "The tools, by the Model Context Protocol.",
};

const HEADERS = {
  RequestId: { description: "The id of the request, as in the logs and in errors.", schema: { type: "string" } },
  RetryAfter: { description: "Seconds after which to try again.", schema: { type: "integer", minimum: 0 } },
};
const REQUEST_ID = { "X-Request-Id": { $ref: "#/components/headers/RequestId" } };
const RETRY_AFTER = { "Retry-After": { $ref: "#/components/headers/RetryAfter" } };

export function describeApi(routes: Route[]): ApiDocument {
  const schemas = new JsonSchemas();
  const responses: Record<string, ApiResponse> = {};
  const paths: ApiDocument["paths"] = {};
  for (const route of routes) {
    const operations = (paths[route.path] ??= {});
    operations[route.method.toLowerCase()] = describeRoute(route, schemas, responses);
  }
  const tags = [...new Set(routes.map(tagOf))].sort();
  return {
    openapi: "3.1.0",
    info: INFO,
    servers: [{ url: "/" }],
    tags: tags.map((name) => ({ name, description: TAGS[name] ?? `Routes below /${name}.` })),
    paths,
    components: {
      schemas: schemas.components,
      responses,
      headers: HEADERS,
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: "An API key or an access token." },
      },
    },
  };
}

function describeRoute(route: Route, schemas: JsonSchemas, shared: Record<string, ApiResponse>): Operation {
  const { summary, description, access } = route;
  const parameters = describeParameters(route, schemas);
  const requestBody = describeBody(route, schemas);
  const role = access === "admin" ? "Needs the role `admin`." : undefined;
  const scope = access === "open" ? undefined : `An API key needs the scope \`${scopeOf(route)}\`.`;
  const text = [description, role, scope].filter((part) => part !== undefined).join("\n\n");
  return {
    operationId: operationIdOf(route),
    tags: [tagOf(route)],
    summary,
    ...(text && { description: text }),
    security: access === "open" ? [] : [{ bearer: [] }],
    ...(parameters.length > 0 && { parameters }),
    ...(requestBody && { requestBody }),
    responses: describeResponses(route, schemas, shared),
  };
}

function describeParameters({ params, query, headers = {} }: Route, schemas: JsonSchemas): JsonSchema[] {
  const inPath = params ? schemas.ofText(params) : [];
  const inQuery = query ? schemas.ofText(query) : [];
  return [
    ...inPath.map(({ name, schema }) => ({ name, in: "path", required: true, schema })),
    ...inQuery.map(({ name, required, schema }) => {
      const { description, ...rest } = schema;
      const list = rest["type"] === "array" && { style: "form", explode: false };
      return { name, in: "query", required, ...(description !== undefined && { description }), ...list, schema: rest };
    }),
    ...Object.entries(headers).map(([name, description]) => ({
      ...{ name, in: "header", required: false, description, schema: { type: "string" } },
    })),
  ];
}

function describeBody({ method, body, bodyType }: Route, schemas: JsonSchemas): JsonSchema | undefined {
  if (body === undefined) return undefined;
  if (body !== "raw") {
    return { required: true, content: { "application/json": { schema: schemas.of(body, "input") } } };
  }
  if (method === "GET" || method === "DELETE") return undefined;
  const types = [bodyType ?? "application/json"].flat();
  return { required: true, content: Object.fromEntries(types.map((type) => [type, { schema: {} }])) };
}

/** Answers and failures by status. What can only fail is shared by all operations that fail alike. */
function describeResponses(
  route: Route,
  schemas: JsonSchemas,
  shared: Record<string, ApiResponse>,
): Operation["responses"] {
  const codesByStatus = Map.groupBy(failuresOf(route), (code): number => ERROR_STATUS[code]);
  const statuses = new Set([...Object.keys(route.answers).map(Number), ...codesByStatus.keys()]);
  const responses: Operation["responses"] = {};
  for (const status of [...statuses].sort((a, b) => a - b)) {
    const answer = route.answers[status];
    const codes = codesByStatus.get(status) ?? [];
    const isOpenAi = isOpenAiPath(route.path);
    const error = codes.length === 0 ? [] : [isOpenAi ? OpenAiErrorBody : ErrorBody];
    const response = describeResponse([answer ?? [], error].flat(), codes, schemas);
    if (answer !== undefined) {
      responses[status] = response;
      continue;
    }
    const name = [...(isOpenAi ? ["openai"] : []), ...codes.toSorted()].join(".");
    shared[name] = response;
    responses[status] = { $ref: `#/components/responses/${name}` };
  }
  return responses;
}

function describeResponse(answers: Answer[], codes: ErrorCode[], schemas: JsonSchemas): ApiResponse {
  const json = answers.filter((answer) => typeof answer !== "string").map((schema) => schemas.of(schema, "output"));
  const [only] = json;
  const texts = answers.filter((answer) => typeof answer === "string" && answer !== "empty");
  const content = {
    ...(only && { "application/json": { schema: json.length === 1 ? only : { anyOf: json } } }),
    ...Object.fromEntries(texts.map((type) => [type, { schema: { type: "string" } }])),
  };
  const names = codes.map((code) => `\`${code}\``).join(", ");
  return {
    description: [...(answers.length > 0 ? ["The answer"] : []), ...(names ? [names] : [])].join(", or "),
    headers: { ...REQUEST_ID, ...(codes.some(isRetryable) && RETRY_AFTER) },
    ...(Object.keys(content).length > 0 && { content }),
  };
}

/** `GET /chat/turns/{turn_id}/stream` is `getChatTurnsByTurnIdStream`. */
function operationIdOf({ method, path }: Pick<Route, "method" | "path">): string {
  const words = path.replaceAll("{", "by_").match(/[a-z0-9]+/gi) ?? [];
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

function tagOf({ tag, path }: Route): string {
  return tag ?? (path.split("/")[1] || "root");
}
